package shim

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/shadow"
)

// server holds what is known about one server. grpc-go does not reveal which codec is in force, so the first message
// has to show it.
type server struct {
	codec atomic.Uint32
}

const (
	codecUnknown uint32 = iota
	codecOurs
	codecForeign
)

// guarded is a handler that reads bytes from a server only if the server's codec hands them out. Otherwise it leaves
// requests to the service.
type guarded struct {
	handler
	server *server
}

// handle is a methodHandler.
func (g *guarded) handle(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	known := g.server.codec.Load()
	if door := g.side.door; door != nil {
		door.learn(known, interceptor != nil)
		door.meet(g, srv, interceptor)
		if note := door.takeNote(&ctx); note != noNote {
			return g.afterHop(srv, ctx, dec, interceptor, note)
		}
	}
	if known == codecUnknown && interceptor != nil && g.side.cfg.Interceptors == Decoded && g.side.door.wantsCodec() {
		dec = (&attempt{dec: dec, handler: g}).decodeTyped
	}
	// If interceptors see decoded messages, any codec may decode them.
	if known == codecOurs || interceptor != nil && g.side.cfg.Interceptors == Decoded {
		return g.handler.handle(srv, ctx, dec, interceptor)
	}
	if known == codecForeign {
		return g.refuse(srv, ctx, dec, interceptor)
	}
	first := attempt{dec: dec, handler: g}
	reply, err := g.handler.handle(srv, ctx, first.decode, interceptor)
	if first.foreign == nil {
		return reply, err
	}
	return g.refuse(srv, ctx, first.foreign.Decode, interceptor)
}

// afterHop answers a request that the door has tried to forward, or may not forward. Everything about it is counted.
func (g *guarded) afterHop(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor, n note) (any, error) {
	if !g.side.cfg.CallerPositions {
		ctx = g.side.positions.Without(ctx)
	}
	if interceptor != nil && g.side.cfg.Interceptors == Raw {
		return g.intercepted(srv, ctx, dec, interceptor, func(context.Context) rawHandler {
			if n == noteDeclined {
				return g.localFrom
			}
			return g.watchedFrom
		})
	}
	if n == noteDeclined {
		return g.local(srv, ctx, dec, interceptor)
	}
	return g.locally(srv, ctx, dec, interceptor)
}

// refuse leaves a request to the service, as if there were no shim.
func (g *guarded) refuse(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	if !g.side.cfg.CallerPositions {
		ctx = g.side.positions.Without(ctx)
	}
	if !g.staysLocal() {
		g.metrics.Fallback(int(foreignCodec))
	}
	if g.comparesLocal() {
		g.side.comparer.Drop(g.index, shadow.Foreign)
	}
	g.state.Store(foreign)
	return g.local(srv, ctx, dec, interceptor)
}

// attempt decodes the message of one request while the codec is unknown.
type attempt struct {
	dec     func(any) error
	handler *guarded
	// foreign holds the message if another codec has decoded it.
	foreign *codec.Probe
}

// decode takes the place of grpc-go's decoder. If another codec has decoded the message, decode keeps the message in
// foreign and returns an error, which guarded.handle discards.
func (a *attempt) decode(into any) error {
	raw, ok := into.(*codec.Raw)
	if !ok {
		if a.handler.side.door.learnsLocally() {
			return a.decodeTyped(into)
		}
		return a.dec(into)
	}
	probe := &codec.Probe{Message: a.handler.newRequest()}
	switch err := a.dec(probe); {
	case err == nil && probe.TakenBy(a.handler.side.codec):
		a.handler.server.codec.CompareAndSwap(codecUnknown, codecOurs)
		*raw = probe.Raw
		return nil
	case err == nil:
		a.handler.found()
		a.foreign = probe
		return ErrForeignCodec
	default:
		// The shim's codec accepts any bytes. So if the codec failed, it is another one. Either it accepts no Probe, or
		// the bytes are malformed. "unmarshal" tells this from failures that come before grpc-go asks the codec.
		if !probe.Taken() && status.Code(err) == codes.Internal && strings.Contains(err.Error(), "unmarshal") {
			a.handler.found("error", err)
		}
		return err
	}
}

// decodeTyped is for a message that interceptors or the service see. Any codec may decode that, but the door has to know
// which one does.
func (a *attempt) decodeTyped(into any) error {
	message, ok := into.(proto.Message)
	if !ok {
		return a.dec(into)
	}
	probe := &codec.Probe{Message: message}
	err := a.dec(probe)
	verdict := codecForeign
	switch {
	case err == nil && probe.TakenBy(a.handler.side.codec):
		verdict = codecOurs
	case err != nil && (status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "unmarshal")):
		return err
	}
	a.handler.server.codec.CompareAndSwap(codecUnknown, verdict)
	if err == nil && probe.Taken() {
		if err = probe.Decode(into); err != nil {
			return status.Errorf(codes.Internal, "%s: %v", unmarshalWords(grpc.Version), err)
		}
	}
	return err
}

// found records that the server's codec is foreign. It logs this once for each server.
func (g *guarded) found(details ...any) {
	if g.server.codec.Swap(codecForeign) != codecForeign {
		g.side.log.Error(ErrForeignCodec.Error(), append(details, "method", g.name)...)
	}
	g.state.Store(foreign)
}

// unmarshalWords returns how grpc-go words its error for bytes that it can't decode. The words changed with 1.84.
func unmarshalWords(version string) string {
	if before184(version) {
		return "grpc: error unmarshalling request"
	}
	return "grpc: failed to unmarshal the received message"
}

// tooLongWords returns how grpc-go words its error for a reply that is too long.
func tooLongWords(version string) string {
	const words = "trying to send message larger than max"
	if before184(version) {
		return "grpc: " + words
	}
	return words
}

func before184(version string) bool {
	var minor int
	_, err := fmt.Sscanf(version, "1.%d.", &minor)
	return err == nil && minor < 84
}
