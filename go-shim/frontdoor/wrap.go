package frontdoor

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// Wrap returns a registrar that wraps the handlers of each service and registers with inner. It leaves streams of
// messages from the caller as they are; only their number is bounded.
func (d *Door) Wrap(inner grpc.ServiceRegistrar) grpc.ServiceRegistrar { return registrar{inner, d} }

type registrar struct {
	inner grpc.ServiceRegistrar
	door  *Door
}

// RegisterService implements grpc.ServiceRegistrar. The description may be shared, so it is copied.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	wrapped := *desc
	wrapped.Methods, wrapped.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range wrapped.Methods {
		wrapped.Methods[i].Handler = r.door.unary(wrapped.Methods[i].Handler)
	}
	for i := range wrapped.Streams {
		if !wrapped.Streams[i].ClientStreams {
			wrapped.Streams[i].Handler = r.door.streaming(wrapped.Streams[i].Handler)
		}
	}
	r.inner.RegisterService(&wrapped, implementation)
}

// methodHandler is grpc.MethodHandler, which older versions of grpc-go keep to themselves.
type methodHandler = func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error)

func (d *Door) unary(handler methodHandler) methodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		call := d.begin(ctx, dec)
		call.ctx, call.turns = ctx, &d.running
		reply, err := handler(srv, ctx, call.decode, interceptor)
		if err == nil {
			reply, err = d.owe(ctx, reply)
		}
		d.arrivals.end(call)
		if err != nil {
			return nil, err
		}
		return reply, nil
	}
}

func (d *Door) streaming(handler grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error {
		call := d.begin(stream.Context(), stream.RecvMsg)
		defer d.arrivals.end(call)
		return handler(srv, onRequest{stream, call})
	}
}

func (d *Door) begin(ctx context.Context, receive func(any) error) *call {
	call, crowded := d.arrivals.begin(ctx, receive)
	if crowded {
		d.metrics.waiting.Inc()
	}
	return call
}

// onRequest is the stream of a call that has one request.
type onRequest struct {
	grpc.ServerStream
	call *call
}

func (s onRequest) RecvMsg(into any) error { return s.call.decode(into) }
