// Package transport defines how one request crosses to the sidecar. Implementations are interchangeable: they only
// carry bytes, positions and a status.
package transport

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"hotpath.dev/go-shim/internal/wire"
)

// ErrBusy is what Call returns at once, with nothing sent, when the transport is full.
var ErrBusy = errors.New("the transport is full")

// ErrCollateral is wrapped by the UNAVAILABLE of calls that were lost along with another one. Many calls lost at once
// are one failure of the sidecar, for which one call stands; all others wrap ErrCollateral.
var ErrCollateral = errors.New("lost along with another request")

// ErrRefused is what Call returns at once, with nothing sent, for a method that the sidecar refused.
var ErrRefused = errors.New("the sidecar refused the method")

// Transport carries requests to one sidecar. Its methods are called from many goroutines.
type Transport interface {
	// Call returns at the latest when request.Budget is over, or soon after ctx ends. The error is the gRPC status of
	// the answer or of what went wrong on the way, or ErrBusy or ErrRefused. Reply.Positioned says whether it is an
	// answer. Call must not keep or change request.Body.
	Call(ctx context.Context, request *Request) (Reply, error)
	// Close ends calls that are under way, with UNAVAILABLE, and everything that the transport began. The connections
	// stay open.
	Close()
}

// Counting is a Transport that knows how many calls are under way.
type Counting interface {
	// UnderWay counts them. It may also count calls for which the sidecar still works, though nobody waits any more.
	UnderWay() int
}

// Peer is what a transport knows about a greeted sidecar.
type Peer struct {
	// Conns are the greeted connections for unary calls. They use the codec of package codec.
	Conns []grpc.ClientConnInterface
	// Lanes are the greeted connections for exchange streams, one each.
	Lanes []wire.Opener
	// MaxMessageBytes bounds requests and replies of unary calls.
	MaxMessageBytes int
	// Methods are the names of the hot methods in exchange frames, by Request.Index.
	Methods []Name
}

// Name is the number by which frames call a method. The zero Name belongs to no method; no number is reserved for that.
type Name struct {
	number uint32
	given  bool
}

// NameOf returns the Name of a method that the sidecar accepted.
func NameOf(number uint32) Name { return Name{number, true} }

// Name returns the number of a method, or ErrRefused if this peer must not be asked for the method.
func (p *Peer) Name(index int) (uint32, error) {
	if index < 0 || index >= len(p.Methods) || !p.Methods[index].given {
		return 0, ErrRefused
	}
	return p.Methods[index].number, nil
}

// Request is one request for the sidecar.
type Request struct {
	// Method is "/package.Service/Method". Index is its place among the methods of the Hello.
	Method string
	Index  int
	// Budget is how long Call may take. It is above zero.
	Budget time.Duration
	// Body is the encoded message.
	Body []byte
	// Bounds says which positions may answer.
	Bounds Bounds
	// Traceparent and Tracestate are the caller's trace context. They are empty if it sent none.
	Traceparent, Tracestate string
}

// Bounds limits the position of an answer.
type Bounds struct {
	// Min is the lowest position that may answer.
	Min uint64
	// At is the exact position, if HasAt.
	At    uint64
	HasAt bool
}

// Admit says whether the bounds allow an answer at this position.
func (b Bounds) Admit(position uint64) bool {
	if b.HasAt {
		return position == b.At
	}
	return position >= b.Min
}

// Reply is what came back from the sidecar.
type Reply struct {
	// Body is the encoded message; nil with an error.
	Body []byte
	// Position is where the answer was computed, if Positioned. A status without a position is no answer.
	Position   uint64
	Positioned bool
}
