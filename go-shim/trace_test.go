package shim_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

func TestOnlyTheTraceContextIsForwarded(t *testing.T) { eachHop(t, onlyTheTraceContextIsForwarded) }

func onlyTheTraceContextIsForwarded(t *testing.T, hop experiment.Hop) {
	r := newRig(t, setup{hop: hop})
	r.ask(t, outgoing(t.Context(), "authorization", "secret", "traceparent", "00-a-b-01", "tracestate", "x=y",
		position.Prefix+"other", "1"))
	md := first(t, r.sidecar.Calls()).Metadata
	for key := range md {
		switch key {
		case ":authority", "content-type", "user-agent", "traceparent", "tracestate", position.MinKey, "grpc-accept-encoding":
		default:
			t.Errorf("%s was forwarded", key)
		}
	}
	wantTrace(t, md, "00-a-b-01", "x=y")
}

func TestTraceContextInAllItsForms(t *testing.T) { eachHop(t, traceContextInAllItsForms) }

func traceContextInAllItsForms(t *testing.T, hop experiment.Hop) {
	binary := "\x00\x00" + "0123456789abcdef" + "\x01" + "ghijklmn" + "\x02\x01"
	const same = "00-30313233343536373839616263646566-6768696a6b6c6d6e-01"
	for name, c := range map[string]struct {
		send          []string
		parent, state string
	}{
		"none":              {nil, "", ""},
		"state in parts":    {[]string{"traceparent", "00-a-b-01", "tracestate", "x=y", "tracestate", "z=1"}, "00-a-b-01", "x=y,z=1"},
		"state alone":       {[]string{"tracestate", "x=y"}, "", ""},
		"two parents":       {[]string{"traceparent", "00-a-b-01", "traceparent", "00-c-d-01", "tracestate", "x=y"}, "", ""},
		"binary":            {[]string{"grpc-trace-bin", binary}, same, ""},
		"both":              {[]string{"grpc-trace-bin", binary, "traceparent", "00-a-b-01"}, "00-a-b-01", ""},
		"binary, cut short": {[]string{"grpc-trace-bin", binary[:28]}, "", ""},
		"binary, unknown":   {[]string{"grpc-trace-bin", "\x01" + binary[1:]}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{hop: hop})
			r.ask(t, outgoing(t.Context(), c.send...))
			wantTrace(t, first(t, r.sidecar.Calls()).Metadata, c.parent, c.state)
		})
	}
}

// The trace context is forwarded whichever way a request takes.
func TestTraceContextOfWhatNoFrameHolds(t *testing.T) {
	long := bytes.Repeat([]byte{0xfa, 0x3f, 0x02, 'h', 'i'}, 20_000) // unknown fields
	r := newRig(t, setup{})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: long} })
	for _, request := range [][]byte{odd, long} {
		if _, err := r.invokeRaw(outgoing(t.Context(), "traceparent", "00-a-b-01", "tracestate", "x=y"), request); err != nil {
			t.Fatal(err)
		}
	}
	calls := r.sidecar.Calls()
	if len(calls) != 3 || !calls[0].Batched || calls[1].Batched || calls[2].Batched {
		t.Fatalf("%d calls", len(calls))
	}
	for _, call := range calls {
		wantTrace(t, call.Metadata, "00-a-b-01", "x=y")
	}
}

func wantTrace(t *testing.T, md metadata.MD, parent, state string) {
	t.Helper()
	for key, want := range map[string]string{"traceparent": parent, "tracestate": state} {
		if got := md[key]; len(got) > 1 || len(got) == 1 && got[0] != want || len(got) == 0 && want != "" {
			t.Errorf("%s %q, want %q", key, got, want)
		}
	}
}
