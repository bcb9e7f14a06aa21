package shim_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// odd is a SimpleRequest that no encoder writes: payload before response_size, over-long varints, an unknown field.
var odd = []byte{0x1a, 0x83, 0x00, 0x12, 0x01, 'a', 0x10, 0x87, 0x00, 0xfa, 0x3f, 0x02, 'h', 'i'}

func (r *rig) invokeRaw(ctx context.Context, body []byte, options ...grpc.CallOption) ([]byte, error) {
	var reply codec.Raw
	err := r.conn.Invoke(ctx, unaryCall, &codec.Raw{Bytes: body}, &reply, append(options, grpc.ForceCodecV2(codec.New(nil)))...)
	return reply.Bytes, err
}

func TestBytesPassUndecoded(t *testing.T) { eachHop(t, bytesPassUndecoded) }

func bytesPassUndecoded(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop})
	oddReply := []byte{0xfa, 0x3f, 0x02, 'h', 'i', 0x0a, 0x80, 0x00}
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: oddReply} })
	got, err := r.invokeRaw(t.Context(), odd)
	if err != nil || !bytes.Equal(got, oddReply) {
		t.Fatalf("reply %x, %v; want %x", got, err, oddReply)
	}
	if call := first(t, r.sidecar.Calls()); !bytes.Equal(call.Body, odd) || call.Method != unaryCall {
		t.Fatalf("the sidecar got %s %x, want %x", call.Method, call.Body, odd)
	}
}

func TestFallbackGetsTheSameBytes(t *testing.T) { eachHop(t, fallbackGetsTheSameBytes) }

func fallbackGetsTheSameBytes(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
	if _, err := r.invokeRaw(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	var want testpb.SimpleRequest
	if err := proto.Unmarshal(odd, &want); err != nil {
		t.Fatal(err)
	}
	if got := first(t, r.local.served()); !proto.Equal(got, &want) || len(got.ProtoReflect().GetUnknown()) == 0 {
		t.Fatalf("the local handler got %v, want %v", got, &want)
	}
}

func TestEveryFaultIsAnsweredLocally(t *testing.T) { eachHop(t, everyFaultIsAnsweredLocally) }

func everyFaultIsAnsweredLocally(t *testing.T, hop experiment.Hop) {
	long := make([]byte, 2*shimtest.MaxMessageBytes)
	for name, c := range map[string]struct {
		answer shimtest.Answer
		reason string
	}{
		"hung":                {shimtest.Answer{Hang: true}, "hop_timeout"},
		"slow":                {shimtest.Answer{Delay: testTimeout}, "hop_timeout"},
		"ok without position": {shimtest.Answer{Unpositioned: true}, "no_position"},
		"garbled position":    {shimtest.Answer{Garbled: true, Position: 9}, "no_position"},
		"older than written":  {shimtest.Answer{Position: 2}, "wrong_position"},
		"connection cut":      {shimtest.Answer{Drop: true}, "unavailable"},
		"over-long reply":     {shimtest.Answer{Body: long}, "no_position"},
		"unavailable": {shimtest.Answer{Err: status.Error(codes.Unavailable, "draining"), Unpositioned: true},
			"unavailable"},
		"not found without position": {shimtest.Answer{Err: status.Error(codes.NotFound, "x"), Unpositioned: true},
			"no_position"},
		"internal": {shimtest.Answer{Err: status.Error(codes.Internal, "panic"), Unpositioned: true}, "no_position"},
		"behind":   {shimtest.Answer{Err: position.NotReached(3, 2), Unpositioned: true}, "not_reached"},
		"dropped":  {shimtest.Answer{Err: position.NotRetained(3), Unpositioned: true}, "not_retained"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{hop: hop, events: 3, config: func(cfg *shim.Config) {
				if c.reason == "hop_timeout" {
					cfg.HopTimeout = 100 * time.Millisecond
				}
			}})
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return c.answer })
			var header, trailer metadata.MD
			ctx, cancel := context.WithTimeout(t.Context(), 3*testTimeout)
			defer cancel()
			if who := r.ask(t, ctx, grpc.Header(&header), grpc.Trailer(&trailer)); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
			if header.Get("local-header") == nil || trailer.Get("local-trailer") == nil {
				t.Fatalf("the local handler's header %v or trailer %v is lost", header, trailer)
			}
			if n := r.fallbacks(t, c.reason); n != 1 {
				t.Fatalf("%v fallbacks for %s", n, c.reason)
			}
		})
	}
}

func TestNoSidecarIsAnsweredLocally(t *testing.T) {
	r := newRig(t, setup{noFake: true})
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "not_ready") != 1 {
		t.Fatalf("answered by %s, %v fallbacks", who, r.fallbacks(t, "not_ready"))
	}
}

func TestVerdictsPassThrough(t *testing.T) { eachHop(t, verdictsPassThrough) }

func verdictsPassThrough(t *testing.T, hop experiment.Hop) {
	detailed, err := status.New(codes.OutOfRange, "net: does not fit int64").
		WithDetails(&errdetails.ErrorInfo{Reason: "R", Domain: "d"})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]shimtest.Answer{
		"not found in header":  {Err: status.Error(codes.NotFound, "account_id: has no entries")},
		"not found in trailer": {Err: status.Error(codes.NotFound, "account_id: has no entries"), InTrailer: true},
		"details":              {Err: detailed.Err()},
		// The answer names the newest position, whatever the request asked for.
		"bad argument, older position": {Err: status.Error(codes.InvalidArgument, "limit: must be 1-100"), Position: 1},
		"unknown code":                 {Err: status.Error(codes.Code(77), "later")},
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		detailed, err := status.New(code, "☺\n").WithDetails(&errdetails.ErrorInfo{Reason: "R"}, &errdetails.RetryInfo{})
		if err != nil {
			t.Fatal(err)
		}
		answers[code.String()] = shimtest.Answer{Err: detailed.Err(), InTrailer: true}
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{hop: hop, events: 3})
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return answer })
			_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
			want := status.Convert(answer.Err).Proto()
			if got := status.Convert(err).Proto(); !proto.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if n := len(r.local.served()); n != 0 {
				t.Fatalf("the local handler was asked %d times", n)
			}
		})
	}
}

func TestCallerSeesThePositionOnlyIfAsked(t *testing.T) { eachHop(t, callerSeesThePositionOnlyIfAsked) }

func callerSeesThePositionOnlyIfAsked(t *testing.T, hop experiment.Hop) {
	for _, c := range []struct {
		key, value, want string
	}{
		{"other", "x", ""}, {position.Key, "want", "3"}, {position.MinKey, "1", "3"},
		{position.AtKey, "2", "2"}, {position.Prefix + "anything", "x", "3"},
	} {
		r := newRig(t, setup{hop: hop, events: 3, config: heeded})
		var header metadata.MD
		if who := r.ask(t, outgoing(t.Context(), c.key, c.value), grpc.Header(&header)); who != "SIDECAR" {
			t.Fatalf("%s: answered by %s", c.key, who)
		}
		if got := strings.Join(header.Get(position.Key), ","); got != c.want {
			t.Errorf("%s: position %q, want %q", c.key, got, c.want)
		}
	}
}

func TestVerdictCarriesThePositionIfAsked(t *testing.T) {
	r := newRig(t, setup{events: 3, config: heeded})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Err: status.Error(codes.NotFound, "account_id: has no entries")}
	})
	var header metadata.MD
	_, err := r.client.UnaryCall(outgoing(t.Context(), position.Key, "want"), &testpb.SimpleRequest{}, grpc.Header(&header))
	if status.Code(err) != codes.NotFound || !slices.Equal(header.Get(position.Key), []string{"3"}) {
		t.Fatalf("%v, header %v", err, header)
	}
}

func TestBoundsOfTheHop(t *testing.T) { eachHop(t, boundsOfTheHop) }

func boundsOfTheHop(t *testing.T, hop experiment.Hop) {
	for name, c := range map[string]struct {
		freshness shim.Freshness
		ask       []string
		min, at   string
	}{
		"read your writes":     {shim.ReadYourWrites, nil, "5", ""},
		"the caller asks less": {shim.ReadYourWrites, []string{position.MinKey, "2"}, "5", ""},
		"lag":                  {shim.MaxLag(2), nil, "3", ""},
		"lag, caller stricter": {shim.MaxLag(2), []string{position.MinKey, "4"}, "4", ""},
		"lag beyond the start": {shim.MaxLag(99), nil, "0", ""},
		"exact":                {shim.ReadYourWrites, []string{position.AtKey, "1"}, "", "1"},
		"exact and at least":   {shim.ReadYourWrites, []string{position.AtKey, "4", position.MinKey, "2"}, "", "4"},
		"exactly the empty":    {shim.ReadYourWrites, []string{position.AtKey, "0"}, "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{hop: hop, events: 5, config: func(cfg *shim.Config) {
				cfg.Freshness, cfg.CallerPositions = c.freshness, true
			}})
			r.sidecar.Answer(func(call shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: encode(t, response("SIDECAR"))} })
			_, _ = r.client.UnaryCall(outgoing(t.Context(), c.ask...), requestOf("a"))
			md := first(t, r.sidecar.Calls()).Metadata
			if got := strings.Join(md.Get(position.MinKey), ","); got != c.min {
				t.Errorf("min %q, want %q", got, c.min)
			}
			if got := strings.Join(md.Get(position.AtKey), ","); got != c.at {
				t.Errorf("at %q, want %q", got, c.at)
			}
		})
	}
}

func TestWhatTheLedgerCannotHaveIsNotForwarded(t *testing.T) {
	for reason, ask := range map[string][]string{
		"bad_bounds":    {position.MinKey, "many"},
		"ahead_of_head": {position.MinKey, "99"},
	} {
		r := newRig(t, setup{events: 3, config: heeded})
		if who := r.ask(t, outgoing(t.Context(), ask...)); who != "LOCAL" || r.fallbacks(t, reason) != 1 {
			t.Errorf("%s: answered by %s", reason, who)
		}
		if n := len(r.sidecar.Calls()); n != 0 {
			t.Errorf("%s: forwarded %d times", reason, n)
		}
	}
}

func TestTooLargeRequestStaysLocal(t *testing.T) {
	r := newRig(t, setup{})
	_, err := r.client.UnaryCall(t.Context(), requestOf(strings.Repeat("x", shimtest.MaxMessageBytes)))
	if err != nil || len(r.local.served()) != 1 || r.fallbacks(t, "too_large") != 1 {
		t.Fatalf("%v, served %d", err, len(r.local.served()))
	}
}

func TestMalformedRequestGetsTheWordsOfGRPC(t *testing.T) {
	eachHop(t, malformedRequestGetsTheWordsOfGRPC)
}

func malformedRequestGetsTheWordsOfGRPC(t *testing.T, hop experiment.Hop) {
	malformed := []byte{0x0a, 0x05, 'x'}
	plainServer := grpc.NewServer()
	testpb.RegisterTestServiceServer(plainServer, &service{})
	plain := rig{conn: dial(t, plainServer)}
	_, want := plain.invokeRaw(t.Context(), malformed)

	r := newRig(t, setup{hop: hop, config: func(c *shim.Config) { c.Breaker.Failures = 1 }})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Err: status.Error(codes.Internal, "no such message"), Unpositioned: true}
	})
	_, got := r.invokeRaw(t.Context(), malformed)
	if status.Code(got) != codes.Internal || got.Error() != want.Error() {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if r.side.Status().BreakerOpen {
		t.Fatal("one caller's malformed request opened the breaker for all")
	}
}

func TestHopGetsHalfOfTheCallersTime(t *testing.T) { eachHop(t, hopGetsHalfOfTheCallersTime) }

func hopGetsHalfOfTheCallersTime(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop, config: func(c *shim.Config) { c.HopTimeout = time.Minute }})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	r.ask(t, ctx)
	caller, _ := ctx.Deadline()
	// The time of a frame starts when the frame arrives, so a slow machine uses up some of the local handler's half.
	if left := caller.Sub(first(t, r.sidecar.Calls()).Deadline); left < 10*time.Second || left > 60*time.Second {
		t.Fatalf("the local handler is left %v of 100 s", left)
	}
}

func TestCancelledCallerCostsNoFallback(t *testing.T) { eachHop(t, cancelledCallerCostsNoFallback) }

func cancelledCallerCostsNoFallback(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop, config: func(c *shim.Config) { c.HopTimeout = time.Minute; c.Breaker.Failures = 1 }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		cancel()
		return shimtest.Answer{Hang: true}
	})
	if _, err := r.client.UnaryCall(ctx, &testpb.SimpleRequest{}); status.Code(err) != codes.Canceled {
		t.Fatalf("got %v", err)
	}
	// The server notices the cancellation later than the caller.
	eventually(t, "the hop is over", func() bool { return r.metric(t, "hotpath_shim_hop_seconds") == 1 })
	r.sidecar.Answer(sidecarAnswers(t))
	if who := r.ask(t, t.Context()); who != "SIDECAR" || r.side.Status().BreakerOpen {
		t.Fatalf("answered by %s, breaker open: %v", who, r.side.Status().BreakerOpen)
	}
	if n := len(r.local.served()); n != 0 {
		t.Fatalf("the local handler worked %d times", n)
	}
}

func TestLocalErrorsAreUnchanged(t *testing.T) {
	r := newRig(t, setup{noFake: true})
	r.local.err = errors.New("plain")
	_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if status.Code(err) != codes.Unknown || status.Convert(err).Message() != "plain" {
		t.Fatalf("got %v", err)
	}
}

func TestOtherMethodsAreUntouched(t *testing.T) {
	r := newRig(t, setup{})
	if _, err := r.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.UnimplementedCall(t.Context(), &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Fatalf("got %v", err)
	}
	if n := len(r.sidecar.Calls()); n != 0 {
		t.Fatalf("%d calls were forwarded", n)
	}
}
