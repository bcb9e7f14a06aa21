package shim_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// everyKey adds every key about positions to the request. The ledger has reached none of these positions.
func everyKey(ctx context.Context) context.Context {
	return outgoing(ctx, position.Key, "want", position.MinKey, "98", position.AtKey, "99", position.Prefix+"later", "x", "other", "kept")
}

func positionKeys(md metadata.MD) (keys []string) {
	for key := range md {
		if strings.HasPrefix(strings.ToLower(key), position.Prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// overhear is an interceptor that keeps the metadata of requests.
func overhear(heard *[]metadata.MD) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		*heard = append(*heard, md)
		return next(ctx, request)
	})
}

// Callers can choose no position, whoever answers, and whatever interceptors come first.
func TestCallersHaveNoSayInPositionsByDefault(t *testing.T) {
	for state, s := range map[string]setup{
		"forwarded":  {},
		"no sidecar": {noFake: true},
		"legacy":     {config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }},
		"falls back": {},
	} {
		for _, interceptors := range []string{"none", "decoded", "raw"} {
			t.Run(fmt.Sprintf("%s, interceptors: %s", state, interceptors), func(t *testing.T) {
				s, heard := s, []metadata.MD(nil)
				change := s.config
				if s.events = 3; interceptors != "none" {
					s.server = []grpc.ServerOption{overhear(&heard)}
				}
				s.config = func(c *shim.Config) {
					if interceptors == "raw" {
						c.Interceptors = shim.Raw
					}
					if change != nil {
						change(c)
					}
				}
				r := newRig(t, s)
				if state == "falls back" {
					r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
				}
				var header metadata.MD
				who := r.ask(t, everyKey(t.Context()), grpc.Header(&header))
				if want := map[bool]string{true: "SIDECAR", false: "LOCAL"}[state == "forwarded"]; who != want {
					t.Fatalf("answered by %s, not %s", who, want)
				}
				if keys := positionKeys(header); len(keys) != 0 {
					t.Errorf("the caller was told %v", keys)
				}
				if who == "LOCAL" {
					heard = append(heard, r.local.told(t))
				}
				if state == "forwarded" || state == "falls back" {
					if want := first(t, r.sidecar.Calls()).Want; want.HasAt || want.Min != 3 {
						t.Errorf("the sidecar was asked for %+v", want)
					}
				}
				for _, md := range heard {
					if keys := positionKeys(md); len(keys) != 0 || first(t, md.Get("other")) != "kept" {
						t.Errorf("the service was told %v of %v", keys, md)
					}
				}
			})
		}
	}
}

// If a service obeys the keys itself and allows them, interceptors, handlers and sidecar see them.
func TestCallersHaveTheirSayIfConfigured(t *testing.T) {
	for state, s := range map[string]setup{
		"ahead of the ledger": {}, "no sidecar": {noFake: true},
		"legacy": {config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }},
	} {
		t.Run(state, func(t *testing.T) {
			s, heard := s, []metadata.MD(nil)
			change := s.config
			s.server, s.config = []grpc.ServerOption{overhear(&heard)}, func(c *shim.Config) {
				if heeded(c); change != nil {
					change(c)
				}
			}
			r := newRig(t, s)
			if who := r.ask(t, everyKey(t.Context())); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
			for _, md := range []metadata.MD{first(t, heard), r.local.told(t)} {
				if keys := positionKeys(md); len(keys) != 4 {
					t.Errorf("the service was told %v", keys)
				}
			}
		})
	}
}

// A key that the service's own interceptor adds does not come from the caller, so it counts.
func TestInterceptorsHaveTheirSay(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			own := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				md.Set(position.AtKey, "2")
				return next(metadata.NewIncomingContext(ctx, md), request)
			}
			r := newRig(t, setup{events: 3, server: []grpc.ServerOption{grpc.UnaryInterceptor(own)},
				config: func(c *shim.Config) { c.Interceptors = interceptors }})
			if who := r.ask(t, everyKey(t.Context())); who != "SIDECAR" {
				t.Fatalf("answered by %s", who)
			}
			if want := first(t, r.sidecar.Calls()).Want; !want.HasAt || want.At != 2 {
				t.Fatalf("asked for %+v", want)
			}
		})
	}
}
