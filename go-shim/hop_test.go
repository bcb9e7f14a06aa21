package shim_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimtest"
)

func TestRequestsCrossAsConfigured(t *testing.T) {
	eachHop(t, func(t *testing.T, hop experiment.Hop) {
		r := newRig(t, setup{hop: hop})
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatalf("answered by %s", who)
		}
		batched := hop == experiment.Batched
		if got := first(t, r.sidecar.Calls()).Batched; got != batched {
			t.Fatalf("batched: %v", got)
		}
		lanes, sent := 0.0, 0.0
		if batched {
			lanes, sent = 2, 1
		}
		// The first lane that opens accepts requests. The others may still be opening.
		eventually(t, "every lane is open", func() bool { return r.metric(t, "hotpath_shim_lanes") == lanes })
		if got := r.metric(t, "hotpath_shim_lane_requests_total"); got != sent {
			t.Fatalf("%v requests on lanes, want %v", got, sent)
		}
	})
}

func TestWhatNoFrameHoldsCrossesByUnaryCall(t *testing.T) {
	long := bytes.Repeat([]byte{0xfa, 0x3f, 0x02, 'h', 'i'}, 20_000) // unknown fields
	for name, c := range map[string]struct {
		request, reply []byte
		calls          int
	}{
		"request": {long, odd, 1}, "reply": {odd, long, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: c.reply} })
			got, err := r.invokeRaw(t.Context(), c.request)
			if err != nil || !bytes.Equal(got, c.reply) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			calls := r.sidecar.Calls()
			if len(calls) != c.calls {
				t.Fatalf("%d calls", len(calls))
			}
			if last := calls[len(calls)-1]; last.Batched || !bytes.Equal(last.Body, c.request) {
				t.Fatalf("the last call: batched %v, %d bytes", last.Batched, len(last.Body))
			}
		})
	}
}

func TestBusyLanesBlameNobody(t *testing.T) {
	const slots = 1024
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Connections, c.HopTimeout, c.Breaker.Failures = 1, time.Minute, 1
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	var callers sync.WaitGroup
	defer callers.Wait()
	defer r.side.Close() // ends their wait
	for range slots {
		callers.Go(func() { _, _ = r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{}) })
	}
	eventually(t, "full", func() bool { return r.metric(t, "hotpath_shim_lane_in_flight") == slots })
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "busy") != 1 || r.side.Status().BreakerOpen {
		t.Fatalf("answered by %s, breaker open: %v", who, r.side.Status().BreakerOpen)
	}
}

func TestBrokenLaneLeavesTheSessionAndTheBreakerAlone(t *testing.T) {
	var log logged
	r := newRig(t, setup{config: func(c *shim.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }})
	hellos := len(r.sidecar.Hellos())
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Err: status.Error(codes.NotFound, strings.Repeat("x", 5000))}
	})
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "unavailable") != 1 {
		t.Fatalf("answered by %s", who)
	}
	r.sidecar.Answer(sidecarAnswers(t))
	eventually(t, "the sidecar answers", func() bool { return r.ask(t, t.Context()) == "SIDECAR" })
	// The callers of a lost lane learn of the loss before it is counted and logged.
	eventually(t, "one failure is counted and logged", func() bool {
		return r.metric(t, "hotpath_shim_lane_failures_total", "reason", "limit") == 1 &&
			log.has("status_message of 5000 bytes, at most 4096")
	})
	eventually(t, "both lanes are open", func() bool { return r.metric(t, "hotpath_shim_lanes") == 2 })
	if n := len(r.sidecar.Hellos()); n != hellos || r.side.Status().BreakerOpen {
		t.Fatalf("%d hellos, %d before; breaker open: %v", n, hellos, r.side.Status().BreakerOpen)
	}
}
