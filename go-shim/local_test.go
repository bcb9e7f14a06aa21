package shim_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

const told = "hotpath_shim_local_metadata_total"

// setting is an interceptor that sets headers whoever answers. So callers never miss them, and the shim must not report
// them.
func setting(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("of-interceptor", "before"))
	reply, err := next(ctx, request)
	_ = grpc.SetTrailer(ctx, metadata.Pairs("of-interceptor", "after"))
	return reply, err
}

// wrapped is a stream such as instrumentation puts into the context.
type wrapped struct{ grpc.ServerTransportStream }

func wrapping(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	stream := grpc.ServerTransportStreamFromContext(ctx)
	return setting(grpc.NewContextWithServerTransportStream(ctx, &wrapped{stream}), request, info, next)
}

func TestMetadataOfTheLocalHandlerIsToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		interceptor  grpc.UnaryServerInterceptor
		interceptors shim.Interceptors
	}{
		"bytes": {}, "decoded": {setting, shim.Decoded}, "raw": {setting, shim.Raw}, "wrapped": {wrapping, shim.Decoded},
	} {
		for _, state := range []string{"not ready", "legacy", "failing"} {
			t.Run(name+"/"+state, func(t *testing.T) {
				var log logged
				s := setup{noFake: state != "failing", config: func(config *shim.Config) {
					if config.Interceptors = c.interceptors; state == "legacy" {
						config.DefaultMode = shim.Legacy
					}
					config.Logger = slog.New(slog.NewTextHandler(&log, nil))
				}}
				if c.interceptor != nil {
					s.server = []grpc.ServerOption{grpc.UnaryInterceptor(c.interceptor)}
				}
				r := newRig(t, s)
				if state == "failing" {
					r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
				}
				r.local.within = func(ctx context.Context) {
					// The sidecar's answers have this key too.
					_ = grpc.SetHeader(ctx, metadata.Pairs(position.Key, "1"))
				}
				var header, trailer metadata.MD
				for range 3 {
					if who := r.ask(t, t.Context(), grpc.Header(&header), grpc.Trailer(&trailer)); who != "LOCAL" {
						t.Fatalf("answered by %s", who)
					}
				}
				if !slices.Equal(header["local-header"], []string{"yes"}) || !slices.Equal(trailer["local-trailer"], []string{"yes"}) {
					t.Fatalf("header %v, trailer %v", header, trailer)
				}
				if n := r.metric(t, told, "method", unaryCall); n != 3 {
					t.Fatalf("%v answers counted", n)
				}
				if !log.has("in=header key=local-header") || !log.has("in=trailer key=local-trailer") ||
					strings.Count(log.String(), "sets response metadata") != 2 {
					t.Fatalf("not once for each key:\n%s", &log)
				}
			})
		}
	}
}

func TestWithoutMetadataNothingIsTold(t *testing.T) {
	r := newRig(t, setup{})
	for range 3 {
		r.ask(t, t.Context())
	}
	if n := r.metric(t, told); n != 0 {
		t.Fatalf("%v of the sidecar's answers counted", n)
	}
}

// A handler that makes up keys must fill neither the memory nor the log.
func TestKeysThatAreToldOfAreBounded(t *testing.T) {
	var log logged
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }})
	n := 0
	r.local.within = func(ctx context.Context) {
		n++
		_ = grpc.SendHeader(ctx, metadata.Pairs("made-up-"+strconv.Itoa(n), "x"))
	}
	for range 100 {
		_, _ = r.client.UnaryCall(t.Context(), nil) // the handler's own SetHeader comes too late
	}
	if lines := strings.Count(log.String(), "sets response metadata"); lines != 32 || r.metric(t, told) != 100 {
		t.Fatalf("%d lines, %v answers counted", lines, r.metric(t, told))
	}
}

// These functions look for grpc-go's own stream in the context, so the shim must not hide it.
func TestTheLocalHandlerFindsItsStream(t *testing.T) {
	for name, server := range map[string][]grpc.ServerOption{"bytes": nil, "intercepted": {grpc.UnaryInterceptor(setting)}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{noFake: true, server: server, config: func(c *shim.Config) {
				c.Spliced.Local = false // otherwise they return errors: TestLocalHandlersHaveNoCompressors
			}})
			var failed []error
			var compressors []string
			var method string
			r.local.within = func(ctx context.Context) {
				var err error
				compressors, err = grpc.ClientSupportedCompressors(ctx)
				failed = append(failed, err, grpc.SetSendCompressor(ctx, "gzip"))
				method, _ = grpc.Method(ctx)
			}
			var header metadata.MD
			if who := r.ask(t, t.Context(), grpc.Header(&header)); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
			if failed[0] != nil || failed[1] != nil || !slices.Contains(compressors, "gzip") || method != unaryCall {
				t.Fatalf("%v, compressors %q, method %q", failed, compressors, method)
			}
			if n := r.metric(t, told); n != 1 {
				t.Fatalf("%v answers counted", n)
			}
		})
	}
}
