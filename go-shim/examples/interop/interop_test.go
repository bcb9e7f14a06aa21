// Package interop_test runs grpc-go's interop client against its interop service, alone and with a sidecar in Rust
// (rust-hotpath/examples/interop). A caller must not notice the sidecar.
package interop_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimprom"
)

const (
	sidecarVariable = "TEST_INTEROP_SIDECAR"
	unaryCall       = grpc_testing.TestService_UnaryCall_FullMethodName
	emptyCall       = grpc_testing.TestService_EmptyCall_FullMethodName
	echoedHeader    = "x-grpc-test-echo-initial"
	echoedTrailer   = "x-grpc-test-echo-trailing-bin"
	// testTimeout only ends tests that hang: all waits end as soon as something happens.
	testTimeout = time.Minute
)

// failing is the test that fails if the interop client reports an error. Left alone, the client would end the process.
var failing atomic.Pointer[testing.T]

type logger struct{ grpclog.LoggerV2 }

func (logger) Fatalln(args ...any) { failing.Load().Fatal(args...) }

func TestMain(m *testing.M) {
	grpclog.SetLoggerV2(logger{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
	os.Exit(m.Run())
}

// cases returns the test cases of the interop client. It leaves out those that want credentials, the two soaks, and
// pick_first_unary and orca_oob, which the service alone fails too (it gives no server id, and reports no more often than
// every 30 s).
func cases() map[string]func(context.Context, *grpc.ClientConn) {
	test := func(do func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
		return func(ctx context.Context, conn *grpc.ClientConn) { do(ctx, grpc_testing.NewTestServiceClient(conn)) }
	}
	return map[string]func(context.Context, *grpc.ClientConn){
		"empty_unary":                 test(interop.DoEmptyUnaryCall),
		"large_unary":                 test(interop.DoLargeUnaryCall),
		"client_streaming":            test(interop.DoClientStreaming),
		"server_streaming":            test(interop.DoServerStreaming),
		"ping_pong":                   test(interop.DoPingPong),
		"empty_stream":                test(interop.DoEmptyStream),
		"timeout_on_sleeping_server":  test(interop.DoTimeoutOnSleepingServer),
		"cancel_after_begin":          test(interop.DoCancelAfterBegin),
		"cancel_after_first_response": test(interop.DoCancelAfterFirstResponse),
		"status_code_and_message":     test(interop.DoStatusCodeAndMessage),
		"special_status_message":      test(interop.DoSpecialStatusMessage),
		"custom_metadata":             test(interop.DoCustomMetadata),
		"unimplemented_method":        interop.DoUnimplementedMethod,
		"unimplemented_service": func(ctx context.Context, conn *grpc.ClientConn) {
			interop.DoUnimplementedService(ctx, grpc_testing.NewUnimplementedServiceClient(conn))
		},
		"orca_per_rpc": func(ctx context.Context, conn *grpc.ClientConn) {
			interop.DoORCAPerRPCTest(ctx, grpc_testing.NewTestServiceClient(conn))
		},
	}
}

// forwardable returns false for calls whose metadata the service's handler echoes in headers and trailers. They stay
// local.
func forwardable(ctx context.Context, _ string) bool {
	return len(metadata.ValueFromIncomingContext(ctx, echoedHeader)) == 0 &&
		len(metadata.ValueFromIncomingContext(ctx, echoedTrailer)) == 0
}

// rig is the service, with or without a sidecar, and its client.
type rig struct {
	config  shim.Config
	side    *shim.Side
	metrics *prometheus.Registry
	conn    *grpc.ClientConn
}

// emptyLedger is the event source of a service whose answers depend on the request alone.
type emptyLedger struct{}

func (emptyLedger) LedgerID() string { return "interop" }
func (emptyLedger) Head() uint64     { return 0 }
func (emptyLedger) Read(ctx context.Context, _ uint64, _, _ int) ([][]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func sidecar(t testing.TB) string {
	t.Helper()
	path := os.Getenv(sidecarVariable)
	if path == "" {
		path = filepath.Join("..", "..", "..", "target", "debug", "interop-sidecar")
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		t.Fatalf("no sidecar at %s: run `cargo build -p interop-sidecar`, or name a built one in %s", path, sidecarVariable)
	}
	return path
}

func start(t testing.TB, change func(*shim.Config), options ...grpc.ServerOption) *rig {
	t.Helper()
	r := &rig{metrics: prometheus.NewRegistry()}
	config := shim.Config{Methods: []string{emptyCall, unaryCall}, HopTimeout: testTimeout, StaleAfter: testTimeout,
		Forwardable: forwardable, Metrics: shimprom.New(r.metrics), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		config.Run, config.Supervisor.Bin = shim.Supervise, sidecar(t)
		change(&config)
	}
	r.config = config
	var err error
	if r.side, err = shim.Open(t.Context(), config, emptyLedger{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.side.Close() })
	server := grpc.NewServer(r.side.ServerOptions(options)...)
	grpc_testing.RegisterTestServiceServer(r.side.Wrap(server), interop.NewTestServer())
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "front.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	// This balancer gives the client the load reports that come in trailers.
	balancer := grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`)
	credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
	if r.conn, err = grpc.NewClient("unix:"+listener.Addr().String(), credentials, balancer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	if config.Run != shim.Off {
		r.await(t, config)
	}
	return r
}

// spliced puts the spliced front door before the service. It is open before it knows that the service's interceptor only
// adds load reports, which the sidecar leaves to the service.
func spliced(c *shim.Config) {
	c.FrontDoor, c.Spliced.SkipInterceptors, c.Experiment.OpenDoor = shim.Spliced, true, true
}

// unopened is spliced, but the door opens as in production: when the first calls have shown what the server has.
func unopened(c *shim.Config) {
	spliced(c)
	c.Experiment.OpenDoor = false
}

func (r *rig) await(t testing.TB, config shim.Config) {
	t.Helper()
	for end := time.Now().Add(testTimeout); ; time.Sleep(time.Millisecond) {
		if r.side.Status().Ready && (config.Experiment.Hop != experiment.Batched || r.metric(t, "hotpath_shim_lanes") > 0) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the sidecar is never ready")
		}
	}
}

// metric sums the samples of a metric family that have a label of this value. Without a value it sums all samples.
func (r *rig) metric(t testing.TB, name string, value ...string) (sum float64) {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, sample := range family.GetMetric() {
			match := family.GetName() == name && len(value) == 0
			for _, label := range sample.GetLabel() {
				match = match || family.GetName() == name && len(value) > 0 && label.GetValue() == value[0]
			}
			if match {
				sum += sample.GetCounter().GetValue() + sample.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (r *rig) pass(t *testing.T, name string) {
	t.Run(name, func(t *testing.T) {
		failing.Store(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
		defer cancel()
		cases()[name](ctx, r.conn)
	})
}

func TestEveryCasePasses(t *testing.T) {
	reports := orca.CallMetricsServerOption(nil)
	for _, c := range []struct {
		name    string
		change  func(*shim.Config)
		options []grpc.ServerOption
		// left is how many calls the sidecar declines, so that the service answers.
		left float64
	}{
		{"alone", nil, []grpc.ServerOption{reports}, 0},
		{"with a sidecar", func(*shim.Config) {}, []grpc.ServerOption{reports}, 1},
		{"with a sidecar, raw interceptors", func(c *shim.Config) { c.Interceptors = shim.Raw }, []grpc.ServerOption{reports}, 1},
		{"with a sidecar, unary hop, no interceptors", func(c *shim.Config) { c.Experiment.Hop = experiment.Unary }, nil, 0},
		{"with a sidecar, spliced", spliced, []grpc.ServerOption{reports}, 1},
		{"with a sidecar, spliced, no interceptors", unopened, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.change, c.options...)
			for name := range cases() {
				// orca_per_rpc needs load reports, which only the interceptor of these options sends.
				if name != "orca_per_rpc" || c.options != nil {
					r.pass(t, name)
				}
			}
			if c.change == nil {
				return
			}
			// The sidecar answers empty_unary, large_unary, status_code_and_message and special_status_message;
			// custom_metadata stays local.
			sidecar, kept := r.metric(t, "hotpath_shim_requests_total", "sidecar"), r.metric(t, "hotpath_shim_fallbacks_total", "not_forwardable")
			left := r.metric(t, "hotpath_shim_declined_total", "load_report")
			if all := r.metric(t, "hotpath_shim_fallbacks_total"); sidecar != 4 || kept != 1 || left != c.left || all != kept+left {
				t.Errorf("the sidecar answered %v calls, %v were kept from it, it left %v, %v fallbacks", sidecar, kept, left, all)
			}
			if through := r.config.FrontDoor == shim.Spliced; through && r.metric(t, "hotpath_shim_spliced_door_open") != 1 {
				t.Error("the spliced door is not open")
			}
			if n := r.metric(t, "hotpath_shim_local_metadata_total"); n != 0 || r.side.Status().BreakerOpen {
				t.Errorf("%v answers would have lost metadata; open breakers: %q", n, r.side.Status().OpenBreakers)
			}
		})
	}
}

func TestStatusesOfEveryCodeAreTheServicesOwn(t *testing.T) {
	for name, change := range map[string]func(*shim.Config){
		"batched": func(*shim.Config) {}, "unary": func(c *shim.Config) { c.Experiment.Hop = experiment.Unary }, "spliced": spliced,
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, change)
			client := grpc_testing.NewTestServiceClient(r.conn)
			n := 0.0
			for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
				// The last message is too long for a lane (over 4 KiB), so the shim asks again by unary call.
				for _, message := range []string{"", "☺\n", string(make([]byte, 5_000))} {
					echo := &grpc_testing.EchoStatus{Code: int32(code), Message: message}
					_, err := client.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: echo})
					if status.Code(err) != code || status.Convert(err).Message() != message {
						t.Errorf("got %v, want %v %q", err, code, message)
					}
					n++
				}
			}
			if got := r.metric(t, "hotpath_shim_requests_total", "sidecar"); got != n {
				t.Fatalf("the sidecar answered %v of %v", got, n)
			}
			// A code that gRPC does not have: the service sends the number as it is, and the sidecar leaves it to the service.
			for _, code := range []int32{17, 1_000_000, -1} {
				_, err := client.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: code}})
				if want := codes.Code(uint32(code)); code > 0 && status.Code(err) != want || err == nil {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if got := r.metric(t, "hotpath_shim_declined_total", "unknown_code"); got != 3 {
				t.Errorf("%v requests were declined", got)
			}
		})
	}
}

// TestHeadersOfTheHandlerAreLostIfForwarded shows why custom_metadata is kept local.
func TestHeadersOfTheHandlerAreLostIfForwarded(t *testing.T) {
	r := start(t, func(c *shim.Config) { c.Forwardable = nil })
	client := grpc_testing.NewTestServiceClient(r.conn)
	var header, trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), echoedHeader, "h", echoedTrailer, "t")
	_, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || header[echoedHeader] != nil || trailer[echoedTrailer] != nil {
		t.Fatalf("%v, header %v, trailer %v", err, header, trailer)
	}
}
