// Package tracing is the interface through which the shim reports hops to whatever traces a service's requests. Package
// shimotel implements it for OpenTelemetry.
package tracing

import "context"

// Tracer makes a span for each request that goes to a sidecar. It is called on the way of requests, from many goroutines, and
// must not block. If it panics, the request goes on without a span.
type Tracer interface {
	// Start begins a span. ctx is the request's own context; behind the spliced front door it is empty, so that only
	// Hop.Caller tells the parent. The sidecar gets the Context that Start returns. The Span may be nil, if nothing is recorded.
	Start(ctx context.Context, hop Hop) (Span, Context)
}

// Context is a trace context as W3C writes it. Both are empty if there is none.
type Context struct{ Traceparent, Tracestate string }

// Hop is a request on its way to a sidecar.
type Hop struct {
	// Method is the full name, as "/package.Service/Method".
	Method string
	// Mode is the mode of the method, as in a modes file.
	Mode string
	// Caller is the trace context in the caller's metadata.
	Caller Context
}

// Span is a hop that has begun.
type Span interface {
	// End is called once, when it is known who answers. The time of a local handler is not part of the hop.
	End(Outcome)
}

// Outcome is what became of a hop.
type Outcome struct {
	// Answered is true if the caller gets the sidecar's answer.
	Answered bool
	// Reason is why the local handler answers instead, as in hotpath_shim_fallbacks_total. If it is empty and Answered is false,
	// the caller has left.
	Reason string
	// Position is that of an answer.
	Position uint64
	// Err is the status of the answer, or the error that was no answer. It may be nil although there is a Reason.
	Err error
	// Again is true if another sidecar was asked before and gave no answer.
	Again bool
}
