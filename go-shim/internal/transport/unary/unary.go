// Package unary carries each request by a gRPC call of its own. It is the simplest transport, and the one for large
// requests.
package unary

import (
	"context"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/position"
)

// Transport uses its connections in turn, because all calls of a connection share one lock.
type Transport struct {
	peer    transport.Peer
	options []grpc.CallOption
	turn    atomic.Uint32
	// underWay is the number of calls.
	underWay atomic.Int64
}

// New makes a transport over the peer's connections.
func New(peer transport.Peer) *Transport {
	return &Transport{peer: peer, options: []grpc.CallOption{
		grpc.MaxCallSendMsgSize(peer.MaxMessageBytes),
		grpc.MaxCallRecvMsgSize(peer.MaxMessageBytes),
		grpc.WaitForReady(false),
	}}
}

// Call implements transport.Transport.
func (t *Transport) Call(ctx context.Context, request *transport.Request) (transport.Reply, error) {
	// A refused method must not be called, because another version of it might answer to its name.
	if _, err := t.peer.Name(request.Index); err != nil {
		return transport.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, request.Budget)
	defer cancel()
	t.underWay.Add(1)
	defer t.underWay.Add(-1)
	var header, trailer metadata.MD
	options := make([]grpc.CallOption, 0, len(t.options)+2)
	options = append(options, t.options...)
	options = append(options, grpc.Header(&header), grpc.Trailer(&trailer))

	conn := t.peer.Conns[t.turn.Add(1)%uint32(len(t.peer.Conns))]
	message := codec.Raw{Bytes: request.Body}
	var reply codec.Raw
	err := conn.Invoke(outgoing(ctx, request), request.Method, &message, &reply, options...)

	answer := transport.Reply{Body: reply.Bytes}
	answer.Position, answer.Positioned = position.FromAnswer(trailer)
	if !answer.Positioned && !madeHere(status.Code(err)) {
		answer.Position, answer.Positioned = position.FromAnswer(header)
	}
	return answer, err
}

// UnderWay implements transport.Counting.
func (t *Transport) UnderWay() int { return int(t.underWay.Load()) }

// Close implements transport.Transport. Calls end with their connections.
func (t *Transport) Close() {}

// madeHere is true for codes that grpc-go itself gives to calls that fail after the header came, because of an
// over-long reply, say, or a lost connection. With such a code only a trailer proves that the sidecar sent it.
func madeHere(code codes.Code) bool {
	switch code {
	case codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.PermissionDenied, codes.ResourceExhausted,
		codes.Unimplemented, codes.Internal, codes.Unavailable:
		return true
	default:
		return false
	}
}

func outgoing(ctx context.Context, request *transport.Request) context.Context {
	// Metadata that the service means to send elsewhere is not for the sidecar.
	if _, present := metadata.FromOutgoingContext(ctx); present {
		ctx = metadata.NewOutgoingContext(ctx, nil)
	}
	pairs := make([]string, 0, 8)
	if request.Bounds.HasAt {
		pairs = append(pairs, position.AtKey, strconv.FormatUint(request.Bounds.At, 10))
	} else {
		pairs = append(pairs, position.MinKey, strconv.FormatUint(request.Bounds.Min, 10))
	}
	if request.Traceparent != "" {
		pairs = append(pairs, "traceparent", request.Traceparent)
	}
	if request.Tracestate != "" {
		pairs = append(pairs, "tracestate", request.Tracestate)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
