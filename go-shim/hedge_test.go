package shim_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// hedgedRig is a rig whose method hedges, and whose sidecar has answered often enough.
func hedgedRig(t *testing.T, way setup) *rig {
	t.Helper()
	r := newRig(t, way.with(func(c *shim.Config) { c.Hedge = []string{unaryCall} }))
	for range 100 { // none of these is hedged
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatal(who)
		}
	}
	return r
}

func (r *rig) hedges(t *testing.T, wonBy string) float64 {
	t.Helper()
	return r.metric(t, "hotpath_shim_hedges_total", "won_by", wonBy)
}

func TestASlowSidecarIsHedgedByTheLocalHandler(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := hedgedRig(t, way)
		before, answered := r.hedges(t, "go"), r.metric(t, "hotpath_shim_requests_total")
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
		var trailer metadata.MD
		if who := r.ask(t, t.Context(), grpc.Trailer(&trailer)); who != "LOCAL" || trailer.Get("local-trailer") == nil {
			t.Errorf("%s answers, with trailer %v", who, trailer)
		}
		if r.hedges(t, "go") != before+1 || r.metric(t, "hotpath_shim_requests_total") != answered+1 {
			t.Error("not counted once")
		}
		if r.metric(t, "hotpath_shim_breaker_open") != 0 || r.metric(t, "hotpath_shim_fallbacks_total") != 0 {
			t.Error("a hop that was given up counts against the sidecar")
		}
	})
}

func TestTheLocalAnswerThatComesLaterLeavesNoTrace(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := hedgedRig(t, way)
		release, gone := make(chan struct{}), make(chan struct{})
		r.local.answer = func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			_ = grpc.SetHeader(ctx, metadata.Pairs("local-header", "yes"))
			close(release)
			<-ctx.Done()
			close(gone)
			return nil, ctx.Err()
		}
		body := encode(t, response("SIDECAR"))
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
			<-release
			return shimtest.Answer{Body: body}
		})
		var header metadata.MD
		if who := r.ask(t, t.Context(), grpc.Header(&header)); who != "SIDECAR" || header.Get("local-header") != nil {
			t.Errorf("%s answers, with header %v", who, header)
		}
		<-gone // the handler's context has ended
		if r.hedges(t, "sidecar") == 0 {
			t.Error("not counted")
		}
	})
}

func TestASidecarThatFailsLeavesTheAnswerToTheHedge(t *testing.T) {
	r := hedgedRig(t, setup{})
	began := make(chan struct{})
	r.local.within = func(context.Context) { close(began) }
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		<-began
		return shimtest.Answer{Unpositioned: true}
	})
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Error(who)
	}
}

func TestALocalHandlerThatFailsLeavesTheAnswerToTheSidecar(t *testing.T) {
	r := hedgedRig(t, setup{})
	failed := make(chan struct{})
	r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		close(failed)
		return nil, status.Error(codes.Unavailable, "not now")
	}
	body := encode(t, response("SIDECAR"))
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		<-failed
		return shimtest.Answer{Body: body, Delay: 20 * time.Millisecond}
	})
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Error(who)
	}
}

// A panic of the handler belongs where interceptors may recover it.
func TestAPanicOfTheHedgeReachesTheInterceptors(t *testing.T) {
	recovers := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (reply any, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = status.Error(codes.DataLoss, fmt.Sprint(cause))
			}
		}()
		return handler(ctx, request)
	}
	for _, what := range []shim.Interceptors{shim.Decoded, shim.Raw} {
		r := hedgedRig(t, setup{server: []grpc.ServerOption{grpc.UnaryInterceptor(recovers)}, config: func(c *shim.Config) { c.Interceptors = what }})
		r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { panic("no idea") }
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
		if _, err := r.client.UnaryCall(t.Context(), requestOf("a")); status.Code(err) != codes.DataLoss {
			t.Error(err)
		}
	}
}

// At most one in ten is hedged, beyond a burst of ten, so that a slow sidecar cannot double the work of the service.
func TestHedgesAreBounded(t *testing.T) {
	r := hedgedRig(t, setup{config: func(c *shim.Config) {
		c.Breaker.Failures, c.Breaker.Budget = 1_000_000, -1
	}})
	var asked atomic.Int64
	r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		asked.Add(1)
		return response("LOCAL"), nil
	}
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Delay: 200 * time.Millisecond, Unpositioned: true}
	})
	const requests = 30
	before := r.hedges(t, "go")
	for range requests {
		r.ask(t, t.Context())
	}
	if n := r.hedges(t, "go") - before; n < 1 || n > requests/10+10 {
		t.Errorf("%v of %d are hedged", n, requests)
	}
	if asked.Load() != requests {
		t.Errorf("the handler answered %d", asked.Load())
	}
}

func TestOnlyHotMethodsHedge(t *testing.T) {
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{unaryCall}, Hedge: []string{"/a.B/C"}}
	if _, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l")); err == nil {
		t.Error("taken")
	}
}

// A sidecar that is too slow for a part of the requests is asked less, so that most requests cost the service what they would
// without it.
func TestHopsInVainAreBounded(t *testing.T) {
	for _, door := range []shim.FrontDoor{shim.Stock, shim.Spliced} {
		t.Run(fmt.Sprint(door), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{config: func(c *shim.Config) {
				c.FrontDoor, c.Experiment.OpenDoor = door, door == shim.Spliced
			}})
			body, n := encode(t, response("SIDECAR")), 0
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
				n++
				return shimtest.Answer{Body: body, Unpositioned: n%2 == 0}
			})
			for range 200 {
				r.ask(t, t.Context())
			}
			if vain, spared := r.fallbacks(t, "no_position"), r.fallbacks(t, "over_budget"); vain > 40 || spared < 100 {
				t.Errorf("%v hops in vain, %v spared", vain, spared)
			}
			if r.metric(t, "hotpath_shim_budget_spent") != 1 || r.metric(t, "hotpath_shim_breaker_open") != 0 {
				t.Error("the budget is not spent, or a breaker is open")
			}
			r.sidecar.Answer(sidecarAnswers(t))
			eventually(t, "all is forwarded again", func() bool {
				r.ask(t, t.Context())
				return r.metric(t, "hotpath_shim_budget_spent") == 0
			})
		})
	}
}

func TestAnOverloadedSidecarIsNotBlamedButSpared(t *testing.T) {
	r := newRig(t, setup{})
	overloaded := shimtest.Overloaded("too much to do")
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Err: overloaded, Unpositioned: true} })
	for range 50 {
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Fatal(who)
		}
	}
	if n := r.fallbacks(t, "overloaded"); n < 11 || n > 20 || r.metric(t, "hotpath_shim_breaker_open") != 0 {
		t.Errorf("asked %v times, or a breaker is open", n)
	}
	if n := r.metric(t, "hotpath_shim_fallbacks_total", "class", "slow"); n != 50 {
		t.Errorf("%v are in the class slow", n)
	}
	if len(r.sidecar.Calls()) == 0 {
		t.Error("never asked")
	}
}
