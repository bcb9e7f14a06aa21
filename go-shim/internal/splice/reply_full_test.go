package splice

import (
	"slices"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
)

// askedRig is a connection on which the policy has the call of stream 1.
func askedRig(t *testing.T) *talkRig {
	r := newTalkRig(t)
	r.begin()
	r.ask("1")
	return r
}

func (r *talkRig) ask(id string) {
	r.t.Helper()
	r.say("client HEADERS " + id + " hot")
	if came := r.say("client DATA " + id + " end msg hi"); !slices.Equal(came, []string{"call " + id + " hi"}) {
		r.t.Fatal(came)
	}
}

func TestReplyOfAHandler(t *testing.T) {
	const begins = "client HEADERS 1 :status=200 content-type=application/grpc"
	data := "client DATA 1 \"\\x00\\x00\\x00\\x00\\x02ok\""
	for name, c := range map[string]struct {
		reply Reply
		want  []string
	}{
		"message": {Reply{Body: []byte("ok")}, []string{begins, data, "client HEADERS 1 end grpc-status=0"}},
		"header": {Reply{Body: []byte("ok"), Header: metadata.Pairs("a-bin", "\x00\xff")},
			[]string{begins + " a-bin=AP8", data, "client HEADERS 1 end grpc-status=0 grpc-message="}},
		"trailer": {Reply{Body: []byte("ok"), Trailer: metadata.Pairs("a", "1", "a", "2")},
			[]string{begins, data, "client HEADERS 1 end grpc-status=0 grpc-message= a=1 a=2"}},
		"empty": {Reply{Trailer: metadata.Pairs("a", "")},
			[]string{begins, "client DATA 1 \"\\x00\\x00\\x00\\x00\\x00\"", "client HEADERS 1 end grpc-status=0 grpc-message= a="}},
		"status": {Reply{Status: &spb.Status{Code: 5, Message: "no"}},
			[]string{"client HEADERS 1 end :status=200 content-type=application/grpc grpc-status=5 grpc-message=no"}},
		"status and trailer": {Reply{Status: &spb.Status{Code: 5, Message: "é"}, Trailer: metadata.Pairs("a", "1")},
			[]string{"client HEADERS 1 end :status=200 content-type=application/grpc grpc-status=5 grpc-message=%C3%A9 a=1"}},
		"status and header": {Reply{Status: &spb.Status{Code: 5}, Header: metadata.Pairs("a", "1")},
			[]string{begins + " a=1", "client HEADERS 1 end grpc-status=5 grpc-message="}},
		"status after headers that were sent": {Reply{Status: &spb.Status{Code: 5}, Sent: true},
			[]string{begins, "client HEADERS 1 end grpc-status=5 grpc-message="}},
		"keys of grpc-go's own": {Reply{Body: []byte("ok"), Header: metadata.Pairs("content-type", "x", ":status", "1", "te", "x"),
			Trailer: metadata.Pairs("grpc-status", "7", "grpc-message", "x", "grpc-timeout", "1S")},
			[]string{begins, data, "client HEADERS 1 end grpc-status=0 grpc-message="}},
	} {
		t.Run(name, func(t *testing.T) {
			r := askedRig(t)
			r.core.reply(r.calls[1].stream, &c.reply)
			if came := r.came(); !slices.Equal(came, c.want) {
				t.Errorf("got  %q\nwant %q", came, c.want)
			}
			if r.core.hot != 0 || r.core.streams.n != 0 {
				t.Errorf("%d hot calls, %d streams are left", r.core.hot, r.core.streams.n)
			}
		})
	}
}

func TestDetailsOfTheStatusCome(t *testing.T) {
	r := askedRig(t)
	r.core.reply(r.calls[1].stream, &Reply{Status: refusal(nil), Trailer: metadata.Pairs(detailsKey, "own", "a", "1")})
	came := strings.Join(r.came(), "\n")
	if strings.Count(came, detailsKey) != 1 || strings.Contains(came, "b3du") || !strings.Contains(came, " a=1") {
		t.Error(came)
	}
}

// A reply waits for the windows like all DATA, and its trailers with it.
func TestTrailersOfAHandlerWaitForTheMessage(t *testing.T) {
	r := newTalkRig(t)
	r.begin()
	r.say("client SETTINGS 4=3")
	r.say("grpc SETTINGS ack")
	r.ask("1")
	r.core.reply(r.calls[1].stream, &Reply{Body: []byte("ok"), Trailer: metadata.Pairs("a", "1")})
	if came := r.came(); len(came) != 2 || came[1] != "client DATA 1 \"\\x00\\x00\\x00\"" {
		t.Fatalf("got %q", came)
	}
	want := []string{"client DATA 1 \"\\x00\\x02ok\"", "client HEADERS 1 end grpc-status=0 grpc-message= a=1"}
	if came := r.say("client WINDOW_UPDATE 1 100"); !slices.Equal(came, want) {
		t.Fatalf("got %q", came)
	}
}

// grpc-go resets a stream if the client does not want headers as long as those. The client's table must survive it.
func TestMetadataThatTheClientDoesNotWant(t *testing.T) {
	long := metadata.Pairs("a", strings.Repeat("x", 200))
	for name, reply := range map[string]Reply{
		"header": {Header: long}, "trailer": {Trailer: long}, "status": {Status: &spb.Status{Code: 5}, Trailer: long},
		"status and header": {Status: &spb.Status{Code: 5}, Header: long},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTalkRig(t)
			r.begin()
			r.say("client SETTINGS 6=250")
			r.say("grpc SETTINGS ack")
			r.ask("1")
			r.core.reply(r.calls[1].stream, &reply)
			if came := r.came(); !slices.Equal(came, []string{"client RST_STREAM 1 2"}) {
				t.Fatalf("got %q", came)
			}
			r.ask("3")
			r.core.reply(r.calls[3].stream, &Reply{Body: []byte("ok")})
			if came := r.came(); len(came) != 3 || !strings.HasSuffix(came[2], "grpc-status=0") {
				t.Fatalf("got %q", came)
			}
		})
	}
}

func TestACallWhoseTimeIsOverIsReset(t *testing.T) {
	r := askedRig(t)
	r.core.expireCall(r.calls[1].stream)
	if came := r.came(); !slices.Equal(came, []string{"client RST_STREAM 1 8"}) || r.core.resets != 0 || r.core.hot != 0 {
		t.Errorf("got %q, %d resets, %d hot calls", came, r.core.resets, r.core.hot)
	}
}
