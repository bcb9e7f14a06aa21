package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
	"hotpath.dev/go-shim/tracing"
)

// hopTracer is a tracer that keeps what it is told.
type hopTracer struct {
	mu     sync.Mutex
	begun  []tracing.Hop
	within []any
	ended  []tracing.Outcome
}

type valueKey struct{}

func (r *hopTracer) Start(ctx context.Context, hop tracing.Hop) (tracing.Span, tracing.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.within = append(r.begun, hop), append(r.within, ctx.Value(valueKey{}))
	return hopSpan{r}, tracing.Context{Traceparent: fmt.Sprintf("00-span-%d-01", len(r.begun)), Tracestate: "own=1"}
}

type hopSpan struct{ *hopTracer }

func (r hopSpan) End(out tracing.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, out)
}

// only returns the one hop that there was, after its end.
func (r *hopTracer) only(t *testing.T) (tracing.Hop, tracing.Outcome) {
	t.Helper()
	var hop tracing.Hop
	var out tracing.Outcome
	eventually(t, "the span has ended", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.begun) != 1 || len(r.ended) > 1 {
			t.Fatalf("%d spans begun, %d ended", len(r.begun), len(r.ended))
		}
		hop = r.begun[0]
		if len(r.ended) == 1 {
			out = r.ended[0]
		}
		return len(r.ended) == 1
	})
	return hop, out
}

func traced(s setup, tracer tracing.Tracer) setup {
	s.config = func(c *shim.Config) { c.Tracer = tracer }
	return s
}

func TestEachHopHasOneSpan(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		long := bytes.Repeat([]byte{0xfa, 0x3f, 0x02, 'h', 'i'}, 20_000)
		for name, c := range map[string]struct {
			script  shimtest.Script
			request []byte
			want    tracing.Outcome
			code    codes.Code
		}{
			"answer":       {script(shimtest.Answer{Body: odd, Position: 1}), odd, tracing.Outcome{Answered: true, Position: 1}, codes.OK},
			"status":       {script(shimtest.Answer{Err: status.Error(codes.NotFound, "none"), Position: 1}), odd, tracing.Outcome{Answered: true, Position: 1}, codes.NotFound},
			"no position":  {script(shimtest.Answer{Err: status.Error(codes.Internal, "bug"), Unpositioned: true}), odd, tracing.Outcome{Reason: "no_position"}, codes.Internal},
			"declined":     {declining(t, "too_new"), odd, tracing.Outcome{Reason: "declined"}, codes.Unimplemented},
			"bare OK":      {script(shimtest.Answer{Body: odd, Unpositioned: true}), odd, tracing.Outcome{Reason: "no_position"}, codes.OK},
			"long request": {script(shimtest.Answer{Body: odd, Position: 1}), long, tracing.Outcome{Answered: true, Position: 1}, codes.OK},
			"long reply":   {script(shimtest.Answer{Body: long, Position: 1}), odd, tracing.Outcome{Answered: true, Position: 1}, codes.OK},
		} {
			t.Run(name, func(t *testing.T) {
				var spans hopTracer
				s := s
				s.events = 1
				r, _ := doorRig(t, door, traced(s, &spans))
				r.sidecar.Answer(c.script)
				_, _ = r.invokeRaw(outgoing(t.Context(), "traceparent", "00-a-b-01", "tracestate", "x=y"), c.request)
				hop, out := spans.only(t)
				if want := (tracing.Hop{Method: unaryCall, Mode: "sidecar", Caller: tracing.Context{Traceparent: "00-a-b-01", Tracestate: "x=y"}}); hop != want {
					t.Errorf("began %+v", hop)
				}
				if code := status.Code(out.Err); code != c.code {
					t.Errorf("ended with %v, not %v", out.Err, c.code)
				}
				if out.Err = nil; out != c.want {
					t.Errorf("ended as %+v, not as %+v", out, c.want)
				}
				for _, call := range r.sidecar.Calls() {
					wantTrace(t, call.Metadata, "00-span-1-01", "own=1")
				}
			})
		}
	})
}

func TestACallerThatLeavesEndsTheSpan(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		var spans hopTracer
		r, _ := doorRig(t, door, traced(s, &spans))
		r.sidecar.Answer(script(shimtest.Answer{Hang: true}))
		ctx, leave := context.WithCancel(t.Context())
		var caller sync.WaitGroup
		caller.Go(func() { _, _ = r.invokeRaw(ctx, odd) })
		eventually(t, "the sidecar is asked", func() bool { return len(r.sidecar.Calls()) == 1 })
		leave()
		caller.Wait()
		if _, out := spans.only(t); out.Answered || out.Reason != "" || status.Code(out.Err) != codes.Canceled {
			t.Errorf("ended as %+v", out)
		}
	})
}

func TestWhatIsNotForwardedHasNoSpan(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		var spans hopTracer
		s.config = func(c *shim.Config) { c.Tracer, c.DefaultMode = &spans, shim.Legacy }
		r, _ := doorRig(t, door, s)
		if who := r.ask(t, t.Context()); who != "LOCAL" || len(spans.begun) != 0 {
			t.Errorf("answered by %s, %d spans", who, len(spans.begun))
		}
	})
}

// The second hop belongs to the same request, so it has the same span.
func TestOfTwoSidecarsBothAreInOneSpan(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		var spans hopTracer
		p := newPair(t, door, traced(s, &spans))
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		p.of[asked].Answer(script(shimtest.Answer{Err: status.Error(codes.Unavailable, "away"), Unpositioned: true}))
		if who, want := p.ask(t, t.Context()), fmt.Sprint("SIDECAR ", 1-asked); who != want {
			t.Fatalf("answered by %s, not %s", who, want)
		}
		if _, out := spans.only(t); !out.Answered || !out.Again || out.Reason != "" || out.Err != nil {
			t.Errorf("ended as %+v", out)
		}
		for _, each := range p.of {
			wantTrace(t, first(t, each.Calls()).Metadata, "00-span-1-01", "own=1")
		}
	})
}

// The context is the request's own, where there is one: an interceptor's span is in it.
func TestTheTracerGetsTheRequestsContext(t *testing.T) {
	var spans hopTracer
	inner := func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(context.WithValue(ctx, valueKey{}, "here"), in)
	}
	r, _ := doorRig(t, shim.Stock, setup{server: []grpc.ServerOption{grpc.UnaryInterceptor(inner)},
		config: func(c *shim.Config) { c.Tracer = &spans }})
	if who := r.ask(t, t.Context()); who != "SIDECAR" || !slices.Equal(spans.within, []any{"here"}) {
		t.Errorf("answered by %s, with %v", who, spans.within)
	}
}

// panics is a tracer with a bug.
type panics struct{ atStart bool }

func (p panics) Start(context.Context, tracing.Hop) (tracing.Span, tracing.Context) {
	if p.atStart {
		panic("bug")
	}
	return p, tracing.Context{Traceparent: "00-c-d-01"}
}

func (panics) End(tracing.Outcome) { panic("bug") }

func TestATracerThatPanicsCostsOnlyTheSpan(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		for tracer, sent := range map[panics]string{{atStart: true}: "00-a-b-01", {}: "00-c-d-01"} {
			r, _ := doorRig(t, door, traced(s, tracer))
			if who := r.ask(t, outgoing(t.Context(), "traceparent", "00-a-b-01")); who != "SIDECAR" || r.fallbacks(t, "panic") != 0 {
				t.Errorf("%+v: answered by %s, %v panics", tracer, who, r.fallbacks(t, "panic"))
			}
			wantTrace(t, first(t, r.sidecar.Calls()).Metadata, sent, "")
			r.sidecar.Answer(script(shimtest.Answer{Unpositioned: true}))
			if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "no_position") != 1 || r.fallbacks(t, "panic") != 0 {
				t.Errorf("%+v: answered by %s", tracer, who)
			}
		}
	})
}
