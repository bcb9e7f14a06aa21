package shim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimtest"
)

// BenchmarkForward compares whole requests over Unix sockets, with client, service and sidecar in this process. It runs
// the plain service, the shim in mode legacy, with and without the spliced door, and the shim that forwards, by either hop,
// to a sidecar that is grpc-go too. On a busy machine cpu-ns/op, which counts all three, tells more than the time.
func BenchmarkForward(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		run := func(served string, client func(b *testing.B) testpb.TestServiceClient) {
			b.Run(fmt.Sprintf("served=%s/inflight=%d", served, inFlight), func(b *testing.B) { measure(b, client(b), inFlight) })
		}
		run("plain", func(b *testing.B) testpb.TestServiceClient {
			server := grpc.NewServer(workers()...)
			testpb.RegisterTestServiceServer(server, trivial{})
			return testpb.NewTestServiceClient(dial(b, server))
		})
		run("legacy", func(b *testing.B) testpb.TestServiceClient {
			return trivialClient(b, newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }}))
		})
		run("legacy-intercepted", func(b *testing.B) testpb.TestServiceClient {
			r := newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode, c.Interceptors = shim.Legacy, shim.Raw }})
			return trivialClient(b, r, passOn())
		})
		run("spliced-local", func(b *testing.B) testpb.TestServiceClient { return alone(b) })
		for _, hop := range []experiment.Hop{experiment.Batched, experiment.Unary} {
			run(hop.String(), func(b *testing.B) testpb.TestServiceClient {
				r := newRig(b, setup{hop: hop})
				body := encode(b, response("SIDECAR"))
				r.sidecar.Forget()
				r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} })
				return trivialClient(b, r)
			})
		}
	}
}

// BenchmarkCold calls a method that is not hot. With the shim it must cost what it costs without. It runs a service
// without interceptors and one with.
func BenchmarkCold(b *testing.B) {
	for _, intercepted := range []bool{false, true} {
		options := workers()
		if intercepted {
			options = append(options, passOn())
		}
		b.Run(fmt.Sprintf("intercepted=%v/shim=false", intercepted), func(b *testing.B) {
			server := grpc.NewServer(options...)
			testpb.RegisterTestServiceServer(server, trivial{})
			post(b, testpb.NewTestServiceClient(dial(b, server)))
		})
		b.Run(fmt.Sprintf("intercepted=%v/shim=true", intercepted), func(b *testing.B) {
			r := newRig(b, setup{config: func(c *shim.Config) { c.Interceptors = shim.Raw }})
			post(b, trivialClient(b, r, options...))
		})
	}
}

func post(b *testing.B, client testpb.TestServiceClient) {
	request := &testpb.Empty{}
	concurrently(b, 64, func() error {
		_, err := client.EmptyCall(b.Context(), request)
		return err
	})
}

// trivial answers like service, but records nothing.
type trivial struct {
	testpb.UnimplementedTestServiceServer
}

func (trivial) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return response("LOCAL"), nil
}

func (trivial) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// workers returns the options of a server that answers many cheap calls; see package frontdoor.
func workers() []grpc.ServerOption { return []grpc.ServerOption{grpc.NumStreamWorkers(128)} }

func passOn() grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(ctx, request)
	})
}

func trivialClient(b *testing.B, r *rig, options ...grpc.ServerOption) testpb.TestServiceClient {
	options = append(workers(), options...)
	server := grpc.NewServer(r.side.ServerOptions(options)...)
	testpb.RegisterTestServiceServer(r.side.Wrap(server), trivial{})
	return testpb.NewTestServiceClient(dial(b, server))
}

// alone is a service behind the spliced door, which calls its handler.
func alone(b *testing.B) testpb.TestServiceClient {
	side, err := shim.Open(b.Context(), shim.Config{Run: shim.Alone, Methods: []string{unaryCall}, FrontDoor: shim.Spliced,
		Spliced: shim.SplicedDoor{Local: true}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = side.Close() })
	server := grpc.NewServer(side.ServerOptions(workers())...)
	testpb.RegisterTestServiceServer(side.Wrap(server), trivial{})
	return testpb.NewTestServiceClient(dial(b, server))
}

func measure(b *testing.B, client testpb.TestServiceClient, inFlight int) {
	request := requestOf("account-1")
	concurrently(b, inFlight, func() error {
		_, err := client.UnaryCall(b.Context(), request)
		return err
	})
}

func concurrently(b *testing.B, inFlight int, ask func() error) {
	if err := ask(); err != nil { // also connects
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := shimtest.ProcessTime(b)
	var callers sync.WaitGroup
	for i := range inFlight {
		callers.Go(func() {
			for range (b.N + i) / inFlight {
				if err := ask(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(shimtest.ProcessTime(b)-before)/float64(b.N), "cpu-ns/op")
}
