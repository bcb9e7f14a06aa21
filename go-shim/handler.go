package shim

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/shadow"
)

// methodHandler is grpc.MethodHandler, which older versions of grpc-go keep to themselves.
type methodHandler = func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error)

// handler stands in for the generated handler of one hot method.
type handler struct {
	*method
	local methodHandler
}

// handle is a methodHandler.
func (h *handler) handle(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	// This comes before anyone looks at the keys, so that the effect is the same whoever answers. Keys that an
	// interceptor adds later come from the service itself, so they count.
	if !h.side.cfg.CallerPositions {
		ctx = h.side.positions.Without(ctx)
	}
	if interceptor != nil && h.side.cfg.Interceptors == Raw {
		return h.intercepted(srv, ctx, dec, interceptor, h.answerer)
	}
	// This is settled before anything is read, so that a method that stays local is served as if there were no shim.
	if h.staysLocal() {
		if h.comparesLocal() {
			return h.locallyCompared(srv, ctx, dec, interceptor)
		}
		return h.locally(srv, ctx, dec, interceptor)
	}
	if interceptor != nil {
		return h.decoded(srv, ctx, dec, interceptor)
	}
	if h.keptHere(ctx) {
		return h.local(srv, ctx, dec, nil)
	}
	in := new(codec.Raw)
	if err := dec(in); err != nil {
		return nil, err
	}
	return h.raw(srv, ctx, in)
}

// locally answers as if there were no shim; the shim only looks at the metadata that the handler sets.
func (h *handler) locally(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	if interceptor == nil {
		return h.watched(ctx, func(ctx context.Context) (any, error) { return h.local(srv, ctx, dec, nil) })
	}
	between := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, service grpc.UnaryHandler) (any, error) {
		return interceptor(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			return h.watched(ctx, func(ctx context.Context) (any, error) { return service(ctx, request) })
		})
	}
	return h.local(srv, ctx, dec, between)
}

// locallyCompared is like locally, and has the answer compared.
func (h *handler) locallyCompared(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	if interceptor == nil {
		in := new(codec.Raw)
		if err := dec(in); err != nil {
			return nil, err
		}
		return h.comparedFrom(srv, ctx, in)
	}
	between := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, service grpc.UnaryHandler) (any, error) {
		return interceptor(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			return h.comparedTyped(ctx, request, service)
		})
	}
	return h.local(srv, ctx, dec, between)
}

func (h *handler) comparedFrom(srv any, ctx context.Context, in *codec.Raw) (any, error) {
	return h.compared(ctx, in.Bytes, func(ctx context.Context) (any, error) { return h.localFrom(srv, ctx, in) })
}

// comparedTyped is for interceptors that see messages. They get the service's own reply.
func (h *handler) comparedTyped(ctx context.Context, request any, service grpc.UnaryHandler) (any, error) {
	var typed any
	run := func(ctx context.Context) (reply any, err error) {
		typed, err = service(ctx, request)
		return typed, err
	}
	// The service may change the request.
	body, err := codec.Encode(h.side.codec, request)
	if err != nil {
		h.side.comparer.Drop(h.index, shadow.Unencodable)
		return h.watched(ctx, run)
	}
	_, err = h.compared(ctx, body, run)
	return typed, err
}

// raw forwards the request's bytes. If there is no answer, the local handler gets the same bytes.
func (h *handler) raw(srv any, ctx context.Context, in *codec.Raw) (any, error) {
	if h.hedge != nil {
		return h.hedged(ctx, in.Bytes, func(ctx context.Context) (any, error) { return h.localFrom(srv, ctx, in) })
	}
	answer := h.forward(ctx, in.Bytes, nil)
	switch {
	case answer.declined:
		return h.localFrom(srv, ctx, in)
	case answer.compares:
		return h.comparedFrom(srv, ctx, in)
	case !answer.served:
		return h.watchedFrom(srv, ctx, in)
	}
	return answer.raw(ctx)
}

// raw is what grpc-go gets of an answer of the sidecar.
func (a *answer) raw(ctx context.Context) (any, error) {
	a.told(ctx)
	if a.err != nil {
		return nil, a.err
	}
	return &codec.Raw{Bytes: a.body}, nil
}

// localFrom lets the local handler answer a request's bytes.
func (h *handler) localFrom(srv any, ctx context.Context, in *codec.Raw) (any, error) {
	return h.local(srv, ctx, func(into any) error { return h.decodeBody(in.Bytes, into) }, nil)
}

// decodeBody decodes a message in place of grpc-go.
func (m *method) decodeBody(body []byte, into any) error {
	if err := codec.Decode(m.side.codec, body, into); err != nil {
		// Here and below the words are grpc-go's own, so that nobody notices who decoded.
		return status.Errorf(codes.Internal, "%s: %v", unmarshalWords(grpc.Version), err)
	}
	return nil
}

func (h *handler) watchedFrom(srv any, ctx context.Context, in *codec.Raw) (any, error) {
	return h.watched(ctx, func(ctx context.Context) (any, error) { return h.localFrom(srv, ctx, in) })
}

// rawHandler answers a request's bytes.
type rawHandler func(srv any, ctx context.Context, in *codec.Raw) (any, error)

// answerer says who answers a request that may be forwarded.
func (h *handler) answerer(ctx context.Context) rawHandler {
	switch {
	case h.staysLocal():
		if h.comparesLocal() {
			return h.comparedFrom
		}
		return h.watchedFrom
	case h.keptHere(ctx):
		return h.localFrom
	default:
		return h.raw
	}
}

// intercepted shows interceptors a *codec.Raw both ways, whoever answers. What they see must not change when a sidecar
// comes or goes. choose is called behind them.
func (h *handler) intercepted(
	srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor, choose func(context.Context) rawHandler,
) (any, error) {
	in := new(codec.Raw)
	if err := dec(in); err != nil {
		return nil, err
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: h.name}
	return interceptor(ctx, in, info, func(ctx context.Context, request any) (any, error) {
		passed, err := h.asRaw(request)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "an interceptor passed on %T: %v", request, err)
		}
		reply, err := choose(ctx)(srv, ctx, passed)
		if err != nil {
			return nil, err
		}
		encoded, err := h.asRaw(reply)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err)
		}
		return encoded, nil
	})
}

func (h *handler) asRaw(message any) (*codec.Raw, error) {
	if raw, ok := message.(*codec.Raw); ok {
		return raw, nil
	}
	body, err := codec.Encode(h.side.codec, message)
	return &codec.Raw{Bytes: body}, err
}

// decoded lets the generated handler decode the request and call the interceptors. Behind them it takes the place of
// the service.
func (h *handler) decoded(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	between := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, service grpc.UnaryHandler) (any, error) {
		return interceptor(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			if h.keptHere(ctx) {
				return service(ctx, request)
			}
			if h.hedge != nil {
				return h.hedgedTyped(ctx, request, service)
			}
			reply, answer := h.forwardDecoded(ctx, request)
			switch {
			case answer.declined:
				return service(ctx, request)
			case answer.compares:
				return h.comparedTyped(ctx, request, service)
			case !answer.served:
				return h.watched(ctx, func(ctx context.Context) (any, error) { return service(ctx, request) })
			}
			answer.told(ctx)
			if answer.err != nil {
				return nil, answer.err
			}
			return reply, nil
		})
	}
	return h.local(srv, ctx, dec, between)
}

// forwardDecoded returns the decoded reply beside the answer, which holds the reply as bytes.
func (h *handler) forwardDecoded(ctx context.Context, request any) (proto.Message, answer) {
	body, err := codec.Encode(h.side.codec, request)
	if err != nil {
		h.metrics.Fallback(int(unencodable))
		return nil, answer{}
	}
	into := h.newReply()
	return into, h.forward(ctx, body, into)
}
