package shim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// shutAtFirst leaves it to the first requests to open the door.
func shutAtFirst(c *shim.Config) { c.Experiment.OpenDoor = false }

func skip(c *shim.Config) { shutAtFirst(c); c.Spliced.SkipInterceptors = true }

// heard is an interceptor that counts the requests of which it hears.
func heard(n *atomic.Int64) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if info.FullMethod == unaryCall {
			n.Add(1)
		}
		return next(ctx, request)
	})
}

// wantBegun makes calls and compares with how many of them grpc-go began.
func (r *rig) wantBegun(t *testing.T, grpcs *begun, by string, calls, want int64) {
	t.Helper()
	before := grpcs.calls.Load()
	for range calls {
		if who := r.ask(t, t.Context()); who != by {
			t.Fatalf("answered by %s", who)
		}
	}
	if n := grpcs.calls.Load() - before; n != want {
		t.Fatalf("grpc-go began %d of %d calls, want %d", n, calls, want)
	}
}

// The first request shows the codec, the second one opens the door.
func TestTheDoorOpensOnceRequestsHaveShownTheServer(t *testing.T) {
	r, grpcs := doorRig(t, shim.Spliced, setup{config: shutAtFirst})
	r.wantBegun(t, grpcs, "SIDECAR", 2, 2)
	r.wantBegun(t, grpcs, "SIDECAR", 20, 0)
	if n := len(r.sidecar.Calls()); n != 22 || len(r.local.served()) != 0 {
		t.Fatalf("%d calls", n)
	}
	r.settle(t) // other methods are grpc-go's still
	wantCounts(t, outcome{counts: r.counts(t)}, map[string]float64{"requests_total sidecar": 22, "hop_seconds": 22})
	if err := r.side.Check(); err != nil {
		t.Fatal(err)
	}
}

// A request that the shim has not read shows nothing.
func TestLocalAnswersDoNotOpenTheDoor(t *testing.T) {
	r, grpcs := doorRig(t, shim.Spliced, setup{noFake: true, config: shutAtFirst})
	r.wantBegun(t, grpcs, "LOCAL", 5, 5)
	if n := r.fallbacks(t, "not_ready"); n != 5 {
		t.Fatalf("%v fallbacks", n)
	}
}

func TestInterceptorsShutTheDoor(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			var log logged
			var n atomic.Int64
			r, grpcs := doorRig(t, shim.Spliced, setup{server: []grpc.ServerOption{heard(&n)}, config: func(c *shim.Config) {
				shutAtFirst(c)
				c.Interceptors, c.Logger = interceptors, slog.New(slog.NewTextHandler(&log, nil))
			}})
			r.wantBegun(t, grpcs, "SIDECAR", 20, 20)
			if err := r.side.Check(); n.Load() != 20 || !errors.Is(err, shim.ErrInterceptors) {
				t.Fatalf("heard of %d, Check says %v", n.Load(), err)
			}
			if told := strings.Count(log.String(), "the spliced front door is shut, because the server has interceptors"); told != 1 {
				t.Fatalf("told %d times:\n%s", told, &log)
			}
		})
	}
}

func TestSkipInterceptorsOpensTheDoor(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			r, grpcs := doorRig(t, shim.Spliced, setup{server: []grpc.ServerOption{heard(&n)}, config: func(c *shim.Config) {
				skip(c)
				c.Interceptors = interceptors
			}})
			r.wantBegun(t, grpcs, "SIDECAR", 2, 2)
			r.wantBegun(t, grpcs, "SIDECAR", 20, 0)
			if err := r.side.Check(); n.Load() != 2 || err != nil {
				t.Fatalf("heard of %d, Check says %v", n.Load(), err)
			}
		})
	}
}

// The sidecar speaks the shim's codec, so nothing may pass to it by the bytes of another, whatever the interceptors see.
func TestForeignCodecKeepsTheDoorShut(t *testing.T) {
	var n atomic.Int64
	for name, c := range map[string]struct {
		server       []grpc.ServerOption
		interceptors shim.Interceptors
		by           string
	}{
		"none": {nil, shim.Decoded, "LOCAL"},
		"raw":  {[]grpc.ServerOption{heard(&n)}, shim.Raw, "LOCAL"},
		// Interceptors see typed messages, which any codec can make. So the handler forwards.
		"decoded": {[]grpc.ServerOption{heard(&n)}, shim.Decoded, "SIDECAR"},
	} {
		t.Run(name, func(t *testing.T) {
			r, grpcs := doorRig(t, shim.Spliced, setup{server: append(c.server, grpc.ForceServerCodecV2(newOwnCodec())),
				config: func(config *shim.Config) { skip(config); config.Interceptors = c.interceptors }})
			r.wantBegun(t, grpcs, c.by, 20, 20)
		})
	}
}

// anotherServer registers hot methods with a second server of the shim.
func (r *rig) anotherServer(t *testing.T, grpcs *begun, options ...grpc.ServerOption) *rig {
	t.Helper()
	server := grpc.NewServer(r.side.ServerOptions(append(options, grpc.StatsHandler(grpcs)))...)
	testpb.RegisterTestServiceServer(r.side.Wrap(server), r.local)
	other := &rig{conn: dial(t, server)}
	other.client = testpb.NewTestServiceClient(other.conn)
	other.settle(t)
	return other
}

func TestSeveralServersShutTheDoor(t *testing.T) {
	var log logged
	r, grpcs := doorRig(t, shim.Spliced, setup{config: func(c *shim.Config) {
		c.Experiment.OpenDoor, c.Logger = false, slog.New(slog.NewTextHandler(&log, nil))
	}})
	r.wantBegun(t, grpcs, "SIDECAR", 2, 2)
	r.wantBegun(t, grpcs, "SIDECAR", 5, 0)
	other := r.anotherServer(t, grpcs)
	r.wantBegun(t, grpcs, "SIDECAR", 5, 5)
	other.wantBegun(t, grpcs, "SIDECAR", 5, 5)
	r.anotherServer(t, grpcs).wantBegun(t, grpcs, "SIDECAR", 5, 5)
	if err := r.side.Check(); !errors.Is(err, shim.ErrSeveralServers) {
		t.Fatalf("Check says %v", err)
	}
	if told := strings.Count(log.String(), "because hot methods are registered with several servers"); told != 1 {
		t.Fatalf("told %d times:\n%s", told, &log)
	}
}

func TestSkipInterceptorsOpensTheDoorOfSeveralServers(t *testing.T) {
	r, grpcs := doorRig(t, shim.Spliced, setup{config: skip})
	other := r.anotherServer(t, grpcs)
	r.wantBegun(t, grpcs, "SIDECAR", 2, 2)
	r.wantBegun(t, grpcs, "SIDECAR", 5, 0)
	other.wantBegun(t, grpcs, "SIDECAR", 5, 0)
	if err := r.side.Check(); err != nil {
		t.Fatal(err)
	}
}

// Metadata that the door doesn't know may be what an interceptor or the handler goes by.
func TestUnknownMetadataIsForGRPC(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*shim.Config)
		begun  int64
	}{
		"by default":  {func(*shim.Config) {}, 1},
		"AnyMetadata": {everyMetadata, 0},
		"Authorize":   {func(c *shim.Config) { c.Spliced.Authorize = func(context.Context, string) error { return nil } }, 0},
		"Forwardable": {func(c *shim.Config) { c.Forwardable = func(context.Context, string) bool { return true } }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, grpcs := doorRig(t, shim.Spliced, setup{config: c.config})
			for _, key := range []string{"authorization", "own", "own-bin", "hotpath-note"} {
				o := r.once(t, outgoing(t.Context(), key, "secret"), grpcs, odd)
				wantReply(t, o, "SIDECAR")
				if wantCounts(t, o, forwarded()); o.begun != c.begun {
					t.Errorf("%s: grpc-go began %d calls", key, o.begun)
				}
			}
			if o := r.once(t, t.Context(), grpcs, odd); o.begun != 0 {
				t.Errorf("grpc-go began a call without such keys")
			}
		})
	}
}

// A request that comes back from the door must look to interceptors as every other one.
func TestRawInterceptorsSeeBytesAfterAHop(t *testing.T) {
	var kinds sync.Map
	interceptor := grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		reply, err := next(ctx, request)
		if info.FullMethod == unaryCall {
			kinds.Store(fmt.Sprintf("%T, %T", request, reply), true)
		}
		return reply, err
	})
	r, grpcs := doorRig(t, shim.Spliced, setup{server: []grpc.ServerOption{interceptor}, config: func(c *shim.Config) {
		c.Interceptors, c.Spliced.SkipInterceptors = shim.Raw, true
	}})
	r.wantBegun(t, grpcs, "SIDECAR", 1, 0)
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
	r.wantBegun(t, grpcs, "LOCAL", 1, 1)
	count := 0
	kinds.Range(func(kind, _ any) bool {
		if count++; kind != "*codec.Raw, *codec.Raw" {
			t.Errorf("interceptors saw %v", kind)
		}
		return true
	})
	if count != 1 {
		t.Errorf("interceptors saw %d kinds", count)
	}
}
