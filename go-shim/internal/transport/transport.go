// Package transport is how one request crosses to the sidecar. Implementations can be swapped: they only have to
// carry bytes, positions and a status.
package transport

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
)

// ErrBusy is what Call returns at once, with nothing sent, when as much is under way as the transport takes.
var ErrBusy = errors.New("as many requests are under way as the transport takes")

// ErrCollateral is wrapped by the UNAVAILABLE of calls that a failure took along with it, other than the one call that
// stands for that failure: many calls lost at once are one failure of the sidecar.
var ErrCollateral = errors.New("lost along with another request")

// ErrRefused is what Call returns at once, with nothing sent, for a method that the sidecar refused.
var ErrRefused = errors.New("the sidecar refused the method")

// Transport carries requests to one sidecar. Its methods are called from many goroutines.
type Transport interface {
	// Call returns when request.Budget is over or soon after ctx ends, at the latest. The error is the gRPC status of the
	// answer, or of what went wrong on the way, or ErrBusy or ErrRefused; Reply.Positioned tells an answer. It must not keep or change
	// request.Body.
	Call(ctx context.Context, request *Request) (Reply, error)
	// Close ends what is under way, with UNAVAILABLE, and everything that the transport began. The connections stay.
	Close()
}

// Peer is a greeted sidecar, as far as a transport must know it.
type Peer struct {
	// Conns were all greeted. They use the codec of package codec.
	Conns []grpc.ClientConnInterface
	// MaxMessageBytes bounds requests and replies of unary calls.
	MaxMessageBytes int
	// Methods are the names of the methods in exchange frames, by Request.Index.
	Methods []Name
}

// Name is the number by which frames call a method. The zero Name is nobody's: no number is kept free for that.
type Name struct {
	number uint32
	given  bool
}

// NameOf is for a method that the sidecar took.
func NameOf(number uint32) Name { return Name{number, true} }

// Name is how this peer calls a method; ErrRefused if it must not be asked for it.
func (p *Peer) Name(index int) (uint32, error) {
	if index < 0 || index >= len(p.Methods) || !p.Methods[index].given {
		return 0, ErrRefused
	}
	return p.Methods[index].number, nil
}

// Request is one request as it crosses.
type Request struct {
	// Method is "/package.Service/Method", and Index its place among the methods of the Hello.
	Method string
	Index  int
	// Budget is how long Call may take; above zero.
	Budget time.Duration
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
