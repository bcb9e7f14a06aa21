package shim_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

func TestBreakerOpensOnAHungSidecarAndHeals(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.HopTimeout = 50 * time.Millisecond
		c.Breaker = shim.Breaker{Failures: 3, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	for range 20 {
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Fatalf("answered by %s", who)
		}
	}
	if n := r.fallbacks(t, "breaker_open"); n != 17 || !r.side.Status().BreakerOpen {
		t.Fatalf("%v requests without a hop; breaker open: %v", n, r.side.Status().BreakerOpen)
	}
	// Requests that nobody waits for any more still arrive sooner or later.
	eventually(t, "three hops", func() bool { return len(r.sidecar.Calls()) == 3 })
	// A new connection closes the breakers.
	r.sidecar.Answer(sidecarAnswers(t))
	r.sidecar.DropConnections()
	eventually(t, "closed", func() bool { return !r.side.Status().BreakerOpen })
	r.awaitReady(t)
	eventually(t, "the sidecar answers", func() bool {
		if r.side.Status().BreakerOpen { // on a slow machine, three answers came too late
			r.sidecar.DropConnections()
		}
		return r.ask(t, t.Context()) == "SIDECAR"
	})
}

// batched is another hot method. The sidecar answers it with an empty reply; the service does not implement it.
const batched = testpb.TestService_CacheableUnaryCall_FullMethodName

func (r *rig) batch(t *testing.T) (bySidecar bool) {
	t.Helper()
	_, err := r.client.CacheableUnaryCall(t.Context(), &testpb.SimpleRequest{})
	if err != nil && status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	return err == nil
}

func TestOneBadMethodTakesNoOtherAlongAndItsBreakerIsNamed(t *testing.T) {
	var log logged
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Methods, c.Logger = []string{unaryCall, batched}, slog.New(slog.NewTextHandler(&log, nil))
		c.Breaker = shim.Breaker{Failures: 3, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	r.sidecar.Answer(func(call shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Unpositioned: call.Method == unaryCall}
	})
	for range 20 {
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Fatalf("answered by %s", who)
		}
	}
	for range 3 {
		if !r.batch(t) {
			t.Fatal("the other method is answered locally")
		}
	}
	if open := r.side.Status().OpenBreakers; !slices.Equal(open, []string{unaryCall}) || r.fallbacks(t, "breaker_open") != 17 {
		t.Fatalf("open: %q, %v requests without a hop", open, r.fallbacks(t, "breaker_open"))
	}
	for name, want := range map[string]float64{unaryCall: 1, batched: 0, "side": 0} {
		open, opened := r.metric(t, "hotpath_shim_breaker_open", "breaker", name),
			r.metric(t, "hotpath_shim_breaker_transitions_total", "breaker", name, "to", "open")
		if open != want || opened != want {
			t.Errorf("%s: open %v, opened %v times", name, open, opened)
		}
	}
	want := "level=WARN msg=\"a breaker opened: the calls that it guards are answered locally\" breaker=" + unaryCall +
		" from=closed to=open why=no_position failures=3 failed_probes=0 for="
	if !log.has(want) {
		t.Errorf("the log has no %s\n%s", want, log.String())
	}
	// A new connection closes all breakers.
	r.sidecar.DropConnections()
	eventually(t, "closed", func() bool { return !r.side.Status().BreakerOpen })
	eventually(t, "logged", func() bool { return log.has("breaker=" + unaryCall + " from=open to=closed why=\"a new session\"") })
}

func TestAHungSidecarOpensTheSideForMethodsThatNeverAsked(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Methods = []string{unaryCall, batched, testpb.TestService_UnimplementedCall_FullMethodName}
		c.HopTimeout = 50 * time.Millisecond
		c.Breaker = shim.Breaker{Failures: 3, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	for range 5 {
		r.ask(t, t.Context())
	}
	r.batch(t)
	if open := r.side.Status().OpenBreakers; !slices.Equal(open, []string{"side", unaryCall}) {
		t.Fatalf("open: %q", open)
	}
	_, err := r.client.UnimplementedCall(t.Context(), &testpb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	eventually(t, "four hops", func() bool { return len(r.sidecar.Calls()) == 4 })
}

func TestOnePoisonousRequestDoesNotOpenTheBreaker(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Breaker = shim.Breaker{Failures: 2, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	poison := func(n int) {
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
			return shimtest.Answer{Err: status.Error(codes.Internal, "the model panicked"), Unpositioned: true}
		})
		for range n {
			if who := r.ask(t, t.Context()); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
		}
		r.sidecar.Answer(sidecarAnswers(t))
	}
	for range 3 {
		poison(39)
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatalf("answered by %s", who)
		}
	}
	// A sidecar that says INTERNAL to everything is no longer asked.
	if poison(40); !r.side.Status().BreakerOpen {
		t.Fatal("still closed")
	}
}

func TestBreakerHealsByAProbe(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Breaker = shim.Breaker{Failures: 1, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
	if r.ask(t, t.Context()); !r.side.Status().BreakerOpen {
		t.Fatal("still closed")
	}
	r.sidecar.Answer(sidecarAnswers(t))
	eventually(t, "asked again", func() bool { return r.ask(t, t.Context()) == "SIDECAR" })
}
