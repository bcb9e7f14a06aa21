package shim

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
)

// handler stands in for the generated handler of one hot method.
type handler struct {
	*method
	local grpc.MethodHandler
}

// handle has the signature of grpc.MethodHandler.
func (h *handler) handle(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	// Settled before anything is read, so that a method that stays local is served as if there were no shim.
	if h.staysLocal() {
		return h.local(srv, ctx, dec, interceptor)
	}
	if interceptor != nil && h.side.cfg.Interceptors == Decoded {
		return h.decoded(srv, ctx, dec, interceptor)
	}
	in := new(codec.Raw)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return h.raw(srv, ctx, in)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: h.name}
	return interceptor(ctx, in, info, func(ctx context.Context, request any) (any, error) {
		passed, ok := request.(*codec.Raw)
		if !ok {
			passed = new(codec.Raw)
			var err error
			if passed.Bytes, err = codec.Encode(h.side.codec, request); err != nil {
				return nil, status.Errorf(codes.Internal, "an interceptor passed on %T: %v", request, err)
			}
		}
		return h.raw(srv, ctx, passed)
	})
}

// raw forwards the request's bytes, and hands the same bytes to the local handler if there is no answer.
func (h *handler) raw(srv any, ctx context.Context, in *codec.Raw) (any, error) {
	answer := h.forward(ctx, in.Bytes, nil)
	if answer.served {
		if answer.err != nil {
			return nil, answer.err
		}
		return &codec.Raw{Bytes: answer.body}, nil
	}
	dec := func(into any) error {
		if err := codec.Decode(h.side.codec, in.Bytes, into); err != nil {
			// In grpc-go's own words: nobody shall notice who decoded.
			return status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message: %v", err)
		}
		return nil
	}
	return h.local(srv, ctx, dec, nil)
}

// decoded lets the generated handler decode the request and call the interceptors, and takes the place of the service
// behind them.
func (h *handler) decoded(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	between := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, service grpc.UnaryHandler) (any, error) {
		return interceptor(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			reply, err, served := h.forwardDecoded(ctx, request)
			if served {
				return reply, err
			}
			return service(ctx, request)
		})
	}
	return h.local(srv, ctx, dec, between)
}

func (h *handler) forwardDecoded(ctx context.Context, request any) (reply any, err error, served bool) {
	body, err := codec.Encode(h.side.codec, request)
	if err != nil {
		h.metrics.Fallback(int(unencodable))
		return nil, nil, false
	}
	var into proto.Message = h.newReply()
	answer := h.forward(ctx, body, into)
	if !answer.served {
		return nil, nil, false
	}
	if answer.err != nil {
		return nil, answer.err, true
	}
	return into, nil, true
}
