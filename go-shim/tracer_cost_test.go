package shim

import (
	"context"
	"testing"

	"hotpath.dev/go-shim/tracing"
)

func TestWithoutATracerASpanCostsNoAllocation(t *testing.T) {
	m := &method{side: &Side{}, name: "/a.B/C"}
	ctx, h := context.Background(), new(hop)
	if n := testing.AllocsPerRun(1000, func() {
		m.startSpan(ctx, h)
		m.endSpan(h, tracing.Outcome{Answered: true, Position: 7})
		m.endSpan(h, tracing.Outcome{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if h.span != nil {
		t.Errorf("got %+v", h.span)
	}
}
