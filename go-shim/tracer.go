package shim

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/tracing"
)

// span is what Config.Tracer knows of a hop. open is nil if nothing is recorded, and once it has ended.
type span struct{ open tracing.Span }

// startSpan begins the span of a hop, unless it has begun. Without a tracer it costs this comparison.
func (m *method) startSpan(ctx context.Context, h *hop) {
	if m.side.cfg.Tracer != nil && h.span == nil {
		m.startSpanOf(ctx, h)
	}
}

func (m *method) startSpanOf(ctx context.Context, h *hop) {
	defer m.surviveTracer()
	h.span = new(span)
	caller := tracing.Context{Traceparent: h.request.Traceparent, Tracestate: h.request.Tracestate}
	open, sent := m.side.cfg.Tracer.Start(ctx, tracing.Hop{Method: m.name, Mode: Mode(m.mode.Load()).String(), Caller: caller})
	h.span.open, h.request.Traceparent, h.request.Tracestate = open, sent.Traceparent, sent.Tracestate
}

// endSpan ends the span of a hop, if there is one that has not ended. The zero outcome means that the caller has left.
func (m *method) endSpan(h *hop, out tracing.Outcome) {
	if h.span != nil && h.span.open != nil {
		m.endSpanOf(h, out)
	}
}

func (m *method) endSpanOf(h *hop, out tracing.Outcome) {
	defer m.surviveTracer()
	open := h.span.open
	h.span.open = nil
	if out == (tracing.Outcome{}) {
		out.Err = status.Error(codes.Canceled, "the caller has left")
	}
	out.Again = h.again
	open.End(out)
}

// surviveTracer must be deferred. It makes a panic of the tracer cost the span, not the request.
func (m *method) surviveTracer() {
	if cause := recover(); cause != nil {
		m.side.quiet.Warn("tracer", "Config.Tracer panicked; the request goes on without its span", "method", m.name, "panic", cause)
	}
}
