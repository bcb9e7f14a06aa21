package splice

import (
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
)

// conversations reads testdata/conversations.txt.
func conversations(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/conversations.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, part := range strings.Split(string(text), "\n# ")[1:] {
		lines := strings.Split(strings.TrimSpace(part), "\n")
		name, _, _ := strings.Cut(lines[0], ":")
		for _, line := range lines[1:] {
			if earlier, ok := all[line]; ok {
				all[name] = append(all[name], earlier...)
			} else if line != "" {
				all[name] = append(all[name], line)
			}
		}
	}
	return all
}

func TestConversations(t *testing.T) {
	all := conversations(t)
	if len(all) < 30 {
		t.Errorf("only %d conversations", len(all))
	}
	for name, lines := range all {
		t.Run(name, func(t *testing.T) {
			newTalkRig(t).converse(lines)
		})
	}
}

// converse says the lines, and compares what comes out.
func (r *talkRig) converse(lines []string) {
	var came []string
	said := "the beginning"
	over := func() {
		if len(came) > 0 {
			r.t.Errorf("after %q there came also %q", said, came)
		}
	}
	for _, line := range lines {
		want, isWant := strings.CutPrefix(line, "=> ")
		switch {
		case isWant && (len(came) == 0 || came[0] != want):
			r.t.Fatalf("after %q: want %q, got %q", said, want, came)
		case isWant:
			came = came[1:]
		default:
			over()
			said = line
			came = r.say(line)
		}
	}
	over()
}

func TestUnknownMetadataIsHotIfThePolicyWantsIt(t *testing.T) {
	r := newTalkRig(t)
	r.core.extra = true
	r.begin()
	r.say("client HEADERS 1 odd")
	if came := r.say("client DATA 1 end msg hi"); !slices.Equal(came, []string{"call 1 hi"}) {
		t.Error(came)
	}
}

// begin is the beginning of a connection.
func (r *talkRig) begin() {
	r.converse(conversations(r.t)["begun"])
}

// The bytes of a reply, the first and every other.
func TestReplyBytes(t *testing.T) {
	r := newTalkRig(t)
	r.begin()
	replyBytes(t, r, "1", "000013 01 04 00000001 88 5f10 6170706c69636174696f6e2f67727063"+ // application/grpc, to be indexed
		"000007 00 00 00000001 00 00000002 6f6b"+
		"00000f 01 05 00000001 40 0b 677270632d737461747573 01 30") // grpc-status: 0, to be indexed
	replyBytes(t, r, "3", "000002 01 04 00000003 88bf"+"000007 00 00 00000003 00 00000002 6f6b"+"000001 01 05 00000003 be")
}

func replyBytes(t *testing.T, r *talkRig, id, want string) {
	t.Helper()
	r.say("client HEADERS " + id + " hot")
	r.say("client DATA " + id + " end msg hi")
	for _, call := range r.calls {
		if !call.stream.ended && call.Body != nil {
			r.core.answer(call.stream, []byte("o"), []byte("k"), 0, false)
		}
	}
	clear(r.calls)
	got := hex.EncodeToString(r.core.toClient.b)
	r.core.toClient = nil
	if want := strings.ReplaceAll(want, " ", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTable(t *testing.T) {
	table := &table{pools: new(pools)}
	there := map[uint32]*stream{}
	for i := range uint32(20_000) {
		id := i*2 + 1 + i%7*1000
		if there[id] == nil {
			there[id] = &stream{id: id}
			table.put(id, there[id])
		}
		if gone := (i/2)*2 + 1; i%3 != 0 || i > 10_000 {
			delete(there, gone)
			table.remove(gone)
		}
		if table.n != len(there) {
			t.Fatalf("%d entries, not %d", table.n, len(there))
		}
	}
	for id := range uint32(60_000) {
		if table.get(id) != there[id] {
			t.Fatalf("%d: %v, not %v", id, table.get(id), there[id])
		}
	}
	for id := range there {
		table.remove(id)
	}
	if table.n != 0 || len(table.slots) > fewSlots {
		t.Errorf("%d entries in %d slots", table.n, len(table.slots))
	}
}

func TestHeadersBeyondAFrame(t *testing.T) {
	b := make([]byte, 3+9, 3+9+40_000)
	for i := range 40_000 {
		b = append(b, byte(i))
	}
	block := slices.Clone(b[12:])
	b = frameBlock(b, 3, 5, true)
	var got []byte
	var heads []string
	rest := parseFrames(b[3:], func(head string, payload []byte) {
		heads = append(heads, head)
		got = append(got, payload...)
	})
	if want := []string{"HEADERS 1 5", "CONTINUATION 0 5", "CONTINUATION 4 5"}; !slices.Equal(heads, want) || len(rest) > 0 || !bytes.Equal(got, block) {
		t.Errorf("%v, %d bytes, %d left", heads, len(got), len(rest))
	}
}

func TestStatusesAreEncodedAsByGRPC(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain ~!": "plain ~!", "50%": "50%25", "é\n": "%C3%A9%0A", "\xff": "%EF%BF%BD", "a\x00b": "a%00b", "x\x7f": "x%7F",
	} {
		if got := percentEncode(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
	if _, list := appendStatus(nil, &spb.Status{Code: 5, Message: "%"}); list != 32+11+1+32+12+3 {
		t.Errorf("the list counts %d", list)
	}
}
