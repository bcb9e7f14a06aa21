package shim_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	shim "hotpath.dev/go-shim"
)

type localKey struct{}

// markLocal is an interceptor that marks requests that have to stay local, by a value in the context.
func markLocal(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if len(metadata.ValueFromIncomingContext(ctx, "stay")) > 0 {
		ctx = context.WithValue(ctx, localKey{}, true)
	}
	return next(ctx, request)
}

func TestForwardableKeepsRequestsLocal(t *testing.T) {
	byMetadata := func(ctx context.Context, method string) bool {
		return method == unaryCall && len(metadata.ValueFromIncomingContext(ctx, "stay")) == 0
	}
	byInterceptor := func(ctx context.Context, _ string) bool { return ctx.Value(localKey{}) == nil }
	intercepted := []grpc.ServerOption{grpc.UnaryInterceptor(markLocal)}
	for name, c := range map[string]struct {
		may          func(context.Context, string) bool
		server       []grpc.ServerOption
		interceptors shim.Interceptors
	}{
		"bytes":   {byMetadata, nil, shim.Decoded},
		"decoded": {byInterceptor, intercepted, shim.Decoded},
		"raw":     {byInterceptor, intercepted, shim.Raw},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{server: c.server, config: func(config *shim.Config) {
				config.Forwardable, config.Interceptors = c.may, c.interceptors
			}})
			var header metadata.MD
			if who := r.ask(t, outgoing(t.Context(), "stay", "1"), grpc.Header(&header)); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
			if who := r.ask(t, t.Context()); who != "SIDECAR" {
				t.Fatalf("the next one was answered by %s", who)
			}
			if calls := len(r.sidecar.Calls()); calls != 1 || len(r.local.served()) != 1 || len(header["local-header"]) != 1 {
				t.Fatalf("%d calls, %d local answers, header %v", calls, len(r.local.served()), header)
			}
			legacy := r.metric(t, "hotpath_shim_requests_total", "served_by", "legacy")
			if n := r.fallbacks(t, "not_forwardable"); n != 1 || legacy != 1 {
				t.Fatalf("%v fallbacks, %v served by the service", n, legacy)
			}
			// The handler's headers can't get lost, because a sidecar never answers this request.
			if told := r.metric(t, "hotpath_shim_local_metadata_total"); told != 0 {
				t.Fatalf("%v answers counted", told)
			}
		})
	}
}

func TestForwardableThatPanicsKeepsTheRequest(t *testing.T) {
	for name, server := range map[string][]grpc.ServerOption{
		"bytes": nil, "decoded": {grpc.UnaryInterceptor(markLocal)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{server: server, config: func(c *shim.Config) {
				c.Breaker.Failures = 1
				c.Forwardable = func(context.Context, string) bool { panic("no idea") }
			}})
			if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "panic") != 1 || r.side.Status().BreakerOpen {
				t.Fatalf("answered by %s, %v panics counted", who, r.fallbacks(t, "panic"))
			}
			if calls, local := len(r.sidecar.Calls()), len(r.local.served()); calls != 0 || local != 1 {
				t.Fatalf("%d calls, %d local answers", calls, local)
			}
		})
	}
}
