package shim_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
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
	// What nobody waits for any more arrives all the same, sooner or later.
	eventually(t, "three hops", func() bool { return len(r.sidecar.Calls()) == 3 })
	// A new connection is a new chance.
	r.sidecar.Answer(sidecarAnswers(t))
	r.sidecar.DropConnections()
	eventually(t, "closed", func() bool { return !r.side.Status().BreakerOpen })
	r.awaitReady(t)
	eventually(t, "the sidecar answers", func() bool {
		if r.side.Status().BreakerOpen { // a slow machine: not in time, three times
			r.sidecar.DropConnections()
		}
		return r.ask(t, t.Context()) == "SIDECAR"
	})
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
	// A sidecar that says it of everything is left alone all the same.
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
