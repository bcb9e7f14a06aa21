// Package shimotel makes OpenTelemetry spans of the hops to a sidecar:
//
//	shim.Config{Tracer: shimotel.New(provider), ...}
//
// A span is called "hotpath hop" and is of kind client. Its parent is the span in the request's context, or else the one that the
// caller's traceparent names, as behind the spliced front door, where no interceptor runs. The sidecar gets the trace context
// of the new span. A request that its caller, or the service, does not sample is not recorded, whatever the provider's sampler
// would say. For a request without a trace, the sampler decides. What is not recorded changes no trace context.
//
// The attributes are those of the semantic conventions for gRPC (rpc.system.name, rpc.method, rpc.response.status_code,
// error.type), and
//
//	hotpath.mode             the method's mode, as in a modes file
//	hotpath.served_by        sidecar, or legacy if the service's own handler answers; missing if the caller has left
//	hotpath.fallback.reason  why legacy, as in hotpath_shim_fallbacks_total
//	hotpath.position         at which the answer was computed
//	hotpath.asked_again      true if another sidecar was asked before and gave no answer
//
// As the conventions say for clients, each status but OK makes the span an error. So does each fallback.
package shimotel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/tracing"
)

// New makes a Tracer whose spans go to the provider.
func New(provider trace.TracerProvider) tracing.Tracer {
	return &tracer{provider.Tracer("hotpath.dev/go-shim/shimotel")}
}

type tracer struct{ trace.Tracer }

// These are the keys of W3C's trace context.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// Start implements tracing.Tracer.
func (t *tracer) Start(ctx context.Context, hop tracing.Hop) (tracing.Span, tracing.Context) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
			traceparent: hop.Caller.Traceparent, tracestate: hop.Caller.Tracestate,
		})
	}
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() {
		return nil, contextOf(ctx)
	}
	ctx, open := t.Tracer.Start(ctx, "hotpath hop", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("rpc.system.name", "grpc"),
		attribute.String("rpc.method", strings.TrimPrefix(hop.Method, "/")),
		attribute.String("hotpath.mode", hop.Mode),
	))
	if !open.IsRecording() {
		return nil, hop.Caller
	}
	return &span{open}, contextOf(ctx)
}

// contextOf is the trace context of the span in ctx, as W3C writes it.
func contextOf(ctx context.Context) tracing.Context {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return tracing.Context{Traceparent: carrier[traceparent], Tracestate: carrier[tracestate]}
}

type span struct{ trace.Span }

// End implements tracing.Span.
func (s *span) End(out tracing.Outcome) {
	attributes := make([]attribute.KeyValue, 0, 6)
	add := func(key, value string) { attributes = append(attributes, attribute.String(key, value)) }
	switch {
	case out.Answered:
		add("hotpath.served_by", "sidecar")
		// The conventions have no unsigned numbers. No ledger has that many events.
		attributes = append(attributes, attribute.Int64("hotpath.position", int64(out.Position)))
	case out.Reason != "":
		add("hotpath.served_by", "legacy")
		add("hotpath.fallback.reason", out.Reason)
	}
	if out.Again {
		attributes = append(attributes, attribute.Bool("hotpath.asked_again", true))
	}
	problem := out.Reason
	// An error without a status never reached the sidecar.
	if said, ok := status.FromError(out.Err); ok {
		add("rpc.response.status_code", nameOf(said.Code()))
		if said.Code() != codes.OK {
			problem = nameOf(said.Code())
		}
	}
	if problem != "" {
		add("error.type", problem)
		s.SetStatus(otelcodes.Error, description(out))
	}
	s.SetAttributes(attributes...)
	s.Span.End()
}

// description says what went wrong, for people.
func description(out tracing.Outcome) string {
	if out.Err == nil {
		return out.Reason
	}
	return status.Convert(out.Err).Message()
}

// nameOf is the code as gRPC's specification spells it.
func nameOf(code codes.Code) string {
	switch code {
	case codes.OK:
		return "OK"
	case codes.Canceled:
		return "CANCELLED"
	case codes.InvalidArgument:
		return "INVALID_ARGUMENT"
	case codes.DeadlineExceeded:
		return "DEADLINE_EXCEEDED"
	case codes.NotFound:
		return "NOT_FOUND"
	case codes.AlreadyExists:
		return "ALREADY_EXISTS"
	case codes.PermissionDenied:
		return "PERMISSION_DENIED"
	case codes.ResourceExhausted:
		return "RESOURCE_EXHAUSTED"
	case codes.FailedPrecondition:
		return "FAILED_PRECONDITION"
	case codes.Aborted:
		return "ABORTED"
	case codes.OutOfRange:
		return "OUT_OF_RANGE"
	case codes.Unimplemented:
		return "UNIMPLEMENTED"
	case codes.Internal:
		return "INTERNAL"
	case codes.Unavailable:
		return "UNAVAILABLE"
	case codes.DataLoss:
		return "DATA_LOSS"
	case codes.Unauthenticated:
		return "UNAUTHENTICATED"
	default:
		return "UNKNOWN"
	}
}
