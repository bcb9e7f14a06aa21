package lane

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
)

const rounds = 20_000

// source returns a source of random numbers. It prints the seed if the test fails.
func source(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// odd is a number of any length, often 0.
func odd(r *rand.Rand) uint64 { return r.Uint64() >> r.IntN(64) * uint64(r.IntN(2)) }

func someBytes(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most+1)*r.IntN(2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func someText(r *rand.Rand, most int) string {
	return strings.Repeat("é~", r.IntN(most/3+1)*r.IntN(2))
}

func TestRequestsAreWhatTheGeneratedTypesRead(t *testing.T) {
	r := source(t)
	for range rounds / 20 {
		var message []byte
		want := &hotpathv1.ExchangeRequest{}
		for range r.IntN(20) {
			request := &transport.Request{Body: someBytes(r, 300), Budget: time.Duration(1+odd(r)>>2) * time.Nanosecond,
				Bounds:      transport.Bounds{Min: odd(r), At: odd(r), HasAt: r.IntN(2) == 0},
				Traceparent: strings.Repeat("p", r.IntN(600)), Tracestate: strings.Repeat("s", r.IntN(600))}
			f := newFrame(request, uint32(odd(r)))
			f.id = 1 + odd(r)>>1
			size, before := f.size(), len(message)
			message = f.append(message, size)
			if n := len(message) - before - 1 - protowire.SizeVarint(uint64(size)); n != size {
				t.Fatalf("%d bytes, %d foretold", n, size)
			}
			want.Requests = append(want.Requests, expected(request, &f))
		}
		for range r.IntN(20) * r.IntN(2) {
			want.Cancelled = append(want.Cancelled, r.Uint64())
		}
		message = appendCancelled(message, want.GetCancelled())
		got := &hotpathv1.ExchangeRequest{}
		if err := proto.Unmarshal(message, got); err != nil || !proto.Equal(got, want) {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
	}
}

func expected(request *transport.Request, f *frame) *hotpathv1.RequestFrame {
	out := &hotpathv1.RequestFrame{Id: f.id, Method: f.method, Body: request.Body,
		BudgetUs: uint32(min(max(request.Budget.Microseconds(), 1), 60_000_000))}
	if request.Bounds.HasAt {
		out.AtPosition = &request.Bounds.At
	} else {
		out.MinPosition = request.Bounds.Min
	}
	if len(request.Traceparent) <= 512 {
		out.Traceparent = request.Traceparent
	}
	if len(request.Tracestate) <= 512 && out.GetTraceparent() != "" {
		out.Tracestate = request.Tracestate
	}
	return out
}

func TestTraceContextThatNoFrameCarriesIsDropped(t *testing.T) {
	for _, bad := range []string{"\xff", "a\n", "\x7f", "é", strings.Repeat("x", 513)} {
		f := newFrame(&transport.Request{Traceparent: bad, Tracestate: "k=v", Budget: 1}, 0)
		if f.traceparent != "" || f.tracestate != "" {
			t.Errorf("%q: parent %q, state %q", bad, f.traceparent, f.tracestate)
		}
		f = newFrame(&transport.Request{Traceparent: "00-1-2-01", Tracestate: bad, Budget: 1}, 0)
		if f.traceparent != "00-1-2-01" || f.tracestate != "" {
			t.Errorf("%q: parent %q, state %q", bad, f.traceparent, f.tracestate)
		}
	}
}

// someReply makes a reply that keeps every rule.
func someReply(r *rand.Rand) *hotpathv1.ReplyFrame {
	reply := &hotpathv1.ReplyFrame{Id: odd(r), Status: uint32(odd(r)), StatusMessage: someText(r, 300),
		StatusDetails: someBytes(r, 300)}
	switch r.IntN(4) {
	case 0:
		reply.TooLong = true
	case 1:
		return &hotpathv1.ReplyFrame{Id: odd(r), Body: append(someBytes(r, 300), 1), More: true}
	case 2:
		reply.Body = someBytes(r, 300)
	default:
		reply.Body, reply.Position = someBytes(r, 300), proto.Uint64(odd(r))
	}
	return reply
}

// someResponse encodes replies in any legal way: with fields that replace each other, and with unknown fields of all
// kinds between.
func someResponse(t *testing.T, r *rand.Rand) []byte {
	var message []byte
	for range r.IntN(20) {
		var encoded []byte
		for range 1 + r.IntN(2) {
			piece, err := proto.Marshal(someReply(r))
			if err != nil {
				t.Fatal(err)
			}
			encoded = append(appendUnknown(encoded, r), piece...)
		}
		message = protowire.AppendBytes(append(appendUnknown(message, r), 1<<3|2), encoded)
	}
	return message
}

func appendUnknown(b []byte, r *rand.Rand) []byte {
	number := protowire.Number(9 + r.IntN(3000))
	switch r.IntN(8) {
	case 0:
		return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), r.Uint64())
	case 1:
		return protowire.AppendFixed32(protowire.AppendTag(b, number, protowire.Fixed32Type), r.Uint32())
	case 2:
		return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), someBytes(r, 20))
	case 3:
		b = appendUnknown(protowire.AppendTag(b, number, protowire.StartGroupType), r)
		return protowire.AppendTag(b, number, protowire.EndGroupType)
	case 4: // a field of ours, but of another wire type
		return protowire.AppendFixed32(protowire.AppendTag(b, protowire.Number(1+r.IntN(8)), protowire.Fixed32Type), 1)
	default:
		return b
	}
}

// sameAsGenerated compares the parser with the generated types. It also checks the rules that the generated types don't
// know.
func sameAsGenerated(t *testing.T, message []byte) {
	t.Helper()
	want := &hotpathv1.ExchangeResponse{}
	refused := proto.Unmarshal(message, want) != nil
	got, err := parseReplies(message, nil)
	if refused != breaks(err, Garbage) && !rulesBroken(want) {
		t.Fatalf("%x: got %v, the generated types refuse: %v", message, err, refused)
	}
	if refused || rulesBroken(want) {
		if err == nil {
			t.Fatalf("%x is taken", message)
		}
		return
	}
	if err != nil || len(got) != len(want.GetReplies()) {
		t.Fatalf("%x: %d replies, %v; want %v", message, len(got), err, want)
	}
	for i, w := range want.GetReplies() {
		g := got[i]
		if g.id != w.GetId() || g.position != w.GetPosition() || g.positioned != (w.Position != nil) ||
			g.status != w.GetStatus() || string(g.message) != w.GetStatusMessage() || g.tooLong != w.GetTooLong() || g.more != w.GetMore() ||
			!bytes.Equal(g.details, w.GetStatusDetails()) || !bytes.Equal(g.body, w.GetBody()) {
			t.Fatalf("%x: got %+v, want %v", message, g, w)
		}
	}
}

func breaks(err error, reason string) bool {
	var f *failure
	return errors.As(err, &f) && f.reason == reason
}

func rulesBroken(response *hotpathv1.ExchangeResponse) bool {
	for _, r := range response.GetReplies() {
		if len(r.GetStatusMessage()) > 4096 || len(r.GetStatusDetails()) > 4096 || len(r.GetBody()) > 64<<10 ||
			r.GetTooLong() && (r.Position != nil || len(r.GetBody()) > 0) ||
			r.GetMore() && (r.Position != nil || r.GetTooLong() || r.GetStatus() != 0 || len(r.GetBody()) == 0) {
			return true
		}
	}
	return len(response.GetReplies()) > 1024
}

func TestRepliesAreReadAsTheGeneratedTypesDo(t *testing.T) {
	r := source(t)
	for range rounds / 20 {
		message := someResponse(t, r)
		sameAsGenerated(t, message)
		for range 20 {
			sameAsGenerated(t, mutated(r, message))
		}
	}
}

func mutated(r *rand.Rand, message []byte) []byte {
	out := bytes.Clone(message)
	for range 1 + r.IntN(3) {
		if len(out) == 0 {
			return out
		}
		switch i := r.IntN(len(out)); r.IntN(4) {
		case 0:
			out = out[:i]
		case 1:
			out[i] ^= 1 << r.IntN(8)
		case 2:
			out[i] = byte(r.Uint32())
		default:
			out = append(out[:i:i], out[min(len(out), i+1+r.IntN(8)):]...)
		}
	}
	return out
}

func TestLimitsOfReplies(t *testing.T) {
	long := strings.Repeat("x", 4097)
	for name, c := range map[string]struct {
		reply  *hotpathv1.ReplyFrame
		reason string
	}{
		"message":        {&hotpathv1.ReplyFrame{StatusMessage: long}, Limit},
		"details":        {&hotpathv1.ReplyFrame{StatusDetails: []byte(long)}, Limit},
		"body":           {&hotpathv1.ReplyFrame{Body: make([]byte, 64<<10+1)}, Limit},
		"long, body":     {&hotpathv1.ReplyFrame{TooLong: true, Body: []byte("x")}, Garbage},
		"piece, empty":   {&hotpathv1.ReplyFrame{More: true}, Garbage},
		"piece, decided": {&hotpathv1.ReplyFrame{More: true, Body: []byte("x"), Position: proto.Uint64(0)}, Garbage},
		"piece, status":  {&hotpathv1.ReplyFrame{More: true, Body: []byte("x"), Status: 1}, Garbage},
		"long, decided":  {&hotpathv1.ReplyFrame{TooLong: true, Position: proto.Uint64(0)}, Garbage},
	} {
		message, err := proto.Marshal(&hotpathv1.ExchangeResponse{Replies: []*hotpathv1.ReplyFrame{c.reply}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseReplies(message, nil); !breaks(err, c.reason) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := parseReplies(make([]byte, 1<<20+1), nil); !breaks(err, Limit) {
		t.Errorf("long message: got %v", err)
	}
	if _, err := parseReplies(bytes.Repeat([]byte{0x0a, 0}, 1025), nil); !breaks(err, Limit) {
		t.Errorf("many replies: got %v", err)
	}
}

// FuzzReplies starts from the corpus in testdata/fuzz/FuzzReplies.
func FuzzReplies(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) <= maxMessageBytes {
			sameAsGenerated(t, message)
		}
	})
}

// FuzzRequests checks that the sidecar can read whatever callers send.
func FuzzRequests(f *testing.F) {
	f.Fuzz(func(t *testing.T, min, at uint64, hasAt bool, body []byte, parent, state string, budget int64) {
		request := &transport.Request{Body: body, Budget: time.Duration(budget), Traceparent: parent, Tracestate: state,
			Bounds: transport.Bounds{Min: min, At: at, HasAt: hasAt}}
		frame := newFrame(request, 7)
		frame.id = 1
		var got hotpathv1.ExchangeRequest
		if err := proto.Unmarshal(frame.append(nil, frame.size()), &got); err != nil {
			t.Fatal(err)
		}
		only := head(&got)
		if us := only.GetBudgetUs(); us < 1 || us > 60_000_000 || !bytes.Equal(only.GetBody(), body) ||
			len(only.GetTraceparent()) > 512 || len(only.GetTracestate()) > 512 {
			t.Fatalf("got %v", only)
		}
	})
}
