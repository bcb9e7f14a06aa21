// Package transport is how one request crosses to the sidecar. Implementations can be swapped: they only have to
// carry bytes, positions and a status.
package transport

import "context"

// Transport carries requests to one sidecar. Its methods are called from many goroutines.
type Transport interface {
	// Call returns within the deadline of ctx. The error is the gRPC status of the answer, or of what went wrong on
	// the way; Reply.Positioned tells them apart. It must not keep or change request.Body.
	Call(ctx context.Context, request *Request) (Reply, error)
}

// Request is one request as it crosses.
type Request struct {
	// Method is "/package.Service/Method", and Index its place among the methods of the Hello.
	Method string
	Index  int
	// Body is the encoded message.
	Body []byte
	// Bounds say which positions may answer.
	Bounds Bounds
	// Traceparent and Tracestate are the caller's trace context; empty if it sent none.
	Traceparent, Tracestate string
}

// Bounds are what the answer's position must satisfy.
type Bounds struct {
	// Min is the lowest position that may answer.
	Min uint64
	// At is the exact position, if HasAt.
	At    uint64
	HasAt bool
}

// Admit says whether an answer at this position is one that was asked for.
func (b Bounds) Admit(position uint64) bool {
	if b.HasAt {
		return position == b.At
	}
	return position >= b.Min
}

// Reply is what came back.
type Reply struct {
	// Body is the encoded message; nil with an error.
	Body []byte
	// Position is where the answer was computed, if Positioned. A status without a position is no answer.
	Position   uint64
	Positioned bool
}
