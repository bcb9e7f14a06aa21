package shim

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
)

// server is what is known of one server. grpc-go shows nobody which codec is in force, so the first message tells.
type server struct {
	codec atomic.Uint32
}

const (
	codecUnknown uint32 = iota
	codecOurs
	codecForeign
)

// guarded asks a server for bytes only if its codec hands them out.
type guarded struct {
	handler
	server *server
}

// handle is a methodHandler.
func (g *guarded) handle(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	known := g.server.codec.Load()
	// What interceptors see decoded, any codec may have decoded.
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

// refuse leaves a request to the service, as if there were no shim.
func (g *guarded) refuse(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	if !g.side.cfg.CallerPositions {
		ctx = g.side.positions.Without(ctx)
	}
	if !g.staysLocal() {
		g.metrics.Fallback(int(foreignCodec))
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

// decode returns an error, which the caller does not show to anybody, if the message is in foreign.
func (a *attempt) decode(into any) error {
	raw, ok := into.(*codec.Raw)
	if !ok {
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
		// Ours takes every message. That of another may take none but its own, or this one is malformed; grpc-go words
		// that otherwise than what happens before there is a message.
		if !probe.Taken() && status.Code(err) == codes.Internal && strings.Contains(err.Error(), "unmarshal") {
			a.handler.found("error", err)
		}
		return err
	}
}

// found says once of each server that its codec is foreign.
func (g *guarded) found(details ...any) {
	if g.server.codec.Swap(codecForeign) != codecForeign {
		g.side.log.Error(ErrForeignCodec.Error(), append(details, "method", g.name)...)
	}
	g.state.Store(foreign)
}

// unmarshalWords are those of grpc-go for bytes that are no such message. They changed with 1.84.
func unmarshalWords(version string) string {
	var minor int
	if _, err := fmt.Sscanf(version, "1.%d.", &minor); err == nil && minor < 84 {
		return "grpc: error unmarshalling request"
	}
	return "grpc: failed to unmarshal the received message"
}
