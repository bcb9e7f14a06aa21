package shim_test

import (
	"log/slog"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// declining is the script of a sidecar whose model leaves every request to the service.
func declining(t testing.TB, why string) shimtest.Script {
	t.Helper()
	info := &errdetails.ErrorInfo{Reason: "DECLINED", Domain: position.Domain, Metadata: map[string]string{"why": why}}
	said, err := status.New(codes.Unimplemented, "declined").WithDetails(info)
	if err != nil {
		t.Fatal(err)
	}
	return func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Err: said.Err(), Unpositioned: true} }
}

func (r *rig) declined(t testing.TB, why string) float64 {
	t.Helper()
	return r.metric(t, "hotpath_shim_declined_total", "method", unaryCall, "reason", why)
}

func TestWhatTheModelDeclinesIsAnsweredLocally(t *testing.T) { eachHop(t, declinedIsAnsweredLocally) }

func declinedIsAnsweredLocally(t *testing.T, hop experiment.Hop) {
	const times = 50
	var log logged
	r := newRig(t, setup{hop: hop, config: func(c *shim.Config) {
		c.Breaker.Failures = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}})
	r.sidecar.Answer(declining(t, "too_new"))
	var header, trailer metadata.MD
	for range times {
		if who := r.ask(t, t.Context(), grpc.Header(&header), grpc.Trailer(&trailer)); who != "LOCAL" {
			t.Fatalf("answered by %s", who)
		}
	}
	if len(header["local-header"]) != 1 || len(trailer["local-trailer"]) != 1 {
		t.Fatalf("the local handler's header %v or trailer %v is lost", header, trailer)
	}
	// The sidecar was asked each time, though one failure would have opened a breaker.
	if calls := len(r.sidecar.Calls()); calls != times || r.fallbacks(t, "declined") != times || r.declined(t, "too_new") != times {
		t.Fatalf("%d calls, %v fallbacks, %v declined", calls, r.fallbacks(t, "declined"), r.declined(t, "too_new"))
	}
	if open := r.side.Status().OpenBreakers; len(open) > 0 || r.metric(t, "hotpath_shim_breaker_transitions_total", "to", "open") > 0 {
		t.Fatalf("open breakers: %q", open)
	}
	if log.has("the sidecar gave no answer") {
		t.Fatalf("a declined request is warned of:\n%s", &log)
	}
	// No sidecar answers such requests, so none of their metadata can get lost.
	if told := r.metric(t, "hotpath_shim_local_metadata_total"); told != 0 {
		t.Fatalf("%v answers count as ones that a sidecar would have given without metadata", told)
	}
	r.sidecar.Answer(declining(t, "no label"))
	r.ask(t, t.Context())
	if r.declined(t, "other") != 1 {
		t.Fatal("a reason that is no label is not counted as other")
	}
}

// A declined request shows that the sidecar works, as every answer does. So it closes a breaker that is open.
func TestADeclinedProbeClosesTheBreaker(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) { c.Breaker.Failures = 1 }})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
	r.ask(t, t.Context())
	if !r.side.Status().BreakerOpen {
		t.Fatal("no breaker is open")
	}
	r.sidecar.Answer(declining(t, "too_new"))
	eventually(t, "a declined request closes it", func() bool {
		r.ask(t, t.Context())
		return !r.side.Status().BreakerOpen
	})
	if r.declined(t, "too_new") == 0 {
		t.Fatal("closed by something else")
	}
}

// A status with the same words that names its position is an answer.
func TestADeclineOfTheServiceItselfIsAnAnswer(t *testing.T) { eachHop(t, positionedDeclineIsAnAnswer) }

func positionedDeclineIsAnAnswer(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop})
	said := declining(t, "x")(shimtest.Call{}).Err
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Err: said, InTrailer: true} })
	_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if status.Code(err) != codes.Unimplemented || len(r.local.served()) != 0 {
		t.Fatalf("%v, %d local answers", err, len(r.local.served()))
	}
}
