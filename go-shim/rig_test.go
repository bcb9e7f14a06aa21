package shim_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimprom"
	"hotpath.dev/go-shim/shimtest"
)

const (
	unaryCall = testpb.TestService_UnaryCall_FullMethodName
	// testTimeout bounds waits that end as soon as something happens.
	testTimeout = time.Minute
)

// service is the local handler: it answers with the user name LOCAL.
type service struct {
	testpb.UnimplementedTestServiceServer
	mu       sync.Mutex
	requests []*testpb.SimpleRequest
	metadata []metadata.MD
	err      error
	// within is called by the handler, if it is not nil.
	within func(context.Context)
	// answer is what the handler does instead of all that follows, if it is not nil.
	answer func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
}

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	s.requests = append(s.requests, in)
	s.metadata = append(s.metadata, md)
	err := s.err
	s.mu.Unlock()
	if s.answer != nil {
		return s.answer(ctx, in)
	}
	if s.within != nil {
		s.within(ctx)
	}
	if sent := grpc.SetHeader(ctx, metadata.Pairs("local-header", "yes")); sent != nil {
		return nil, sent
	}
	if sent := grpc.SetTrailer(ctx, metadata.Pairs("local-trailer", "yes")); sent != nil {
		return nil, sent
	}
	if err != nil {
		return nil, err
	}
	return response("LOCAL"), nil
}

func (s *service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (s *service) served() []*testpb.SimpleRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*testpb.SimpleRequest(nil), s.requests...)
}

func (s *service) told(t testing.TB) metadata.MD {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return first(t, s.metadata)
}

// first returns the first element. If there is none, it fails this test. An index out of range would end all tests.
func first[T any](t testing.TB, of []T) T {
	t.Helper()
	if len(of) == 0 {
		t.Fatalf("no %T where there must be one", *new(T))
	}
	return of[0]
}

func requestOf(text string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(text)}}
}

func response(by string) *testpb.SimpleResponse { return &testpb.SimpleResponse{Username: by} }

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// rig is a service with the shim, a fake sidecar and a client.
type rig struct {
	side    *shim.Side
	sidecar *shimtest.Sidecar
	ledger  *shimtest.Ledger
	local   *service
	conn    *grpc.ClientConn
	client  testpb.TestServiceClient
	server  *grpc.Server
	metrics *prometheus.Registry
	config  shim.Config
}

type setup struct {
	hop    experiment.Hop
	config func(*shim.Config)
	server []grpc.ServerOption
	events int
	noFake bool
}

// heeded lets callers choose positions.
func heeded(c *shim.Config) { c.CallerPositions = true }

// eachHop runs a test whose result must not depend on how requests cross.
func eachHop(t *testing.T, test func(t *testing.T, hop experiment.Hop)) {
	for _, hop := range []experiment.Hop{experiment.Batched, experiment.Unary} {
		t.Run(hop.String(), func(t *testing.T) { test(t, hop) })
	}
}

func newRig(t testing.TB, s setup) *rig {
	t.Helper()
	r := &rig{ledger: shimtest.NewLedger("ledger-1"), local: &service{}, metrics: prometheus.NewRegistry()}
	for range s.events {
		r.ledger.Append([]byte("event"))
	}
	r.config = shim.Config{
		Run: shim.Attach, Methods: []string{unaryCall}, Socket: filepath.Join(t.TempDir(), "s.sock"),
		Experiment: experiment.Config{Hop: s.hop}, HopTimeout: testTimeout, StaleAfter: testTimeout, Comparison: shim.Comparison{Timeout: testTimeout}, Metrics: shimprom.New(r.metrics), Logger: slog.New(slog.DiscardHandler),
	}
	throughFrontDoor(t, &r.config, len(s.server) == 0)
	if s.config != nil {
		s.config(&r.config)
	}
	if !s.noFake {
		r.sidecar = shimtest.Start(t, r.config.Socket)
		r.sidecar.Answer(sidecarAnswers(t))
	}
	var err error
	if r.side, err = shim.Open(t.Context(), r.config, r.ledger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.side.Close() })
	r.serve(t, s.server)
	if !s.noFake {
		r.awaitReady(t)
	}
	return r
}

// throughFrontDoor has requests come through the front door that TEST_FRONT_DOOR names: make test runs this package with
// each. open opens the spliced one at once; otherwise the first requests do. With TEST_FRONT_LOCAL it runs local handlers.
func throughFrontDoor(t testing.TB, config *shim.Config, open bool) {
	t.Helper()
	text := os.Getenv("TEST_FRONT_DOOR")
	if text == "" {
		return
	}
	door, err := shim.ParseFrontDoor(text)
	if err != nil {
		t.Fatalf("TEST_FRONT_DOOR: %v", err)
	}
	config.FrontDoor, config.Experiment.OpenDoor = door, open
	config.Spliced.Local = os.Getenv("TEST_FRONT_LOCAL") != ""
}

func sidecarAnswers(t testing.TB) shimtest.Script {
	body := encode(t, response("SIDECAR"))
	return func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} }
}

func (r *rig) serve(t testing.TB, options []grpc.ServerOption) {
	t.Helper()
	r.server = grpc.NewServer(r.side.ServerOptions(options)...)
	testpb.RegisterTestServiceServer(r.side.Wrap(r.server), r.local)
	if err := r.side.Check(); err != nil {
		t.Fatal(err)
	}
	r.conn = dial(t, r.server)
	r.client = testpb.NewTestServiceClient(r.conn)
}

// dial serves on a socket of its own and connects.
func dial(t testing.TB, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "front.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *rig) awaitReady(t testing.TB) {
	t.Helper()
	eventually(t, "the sidecar is ready", func() bool { return r.side.Status().Ready })
	if r.config.Experiment.Hop == experiment.Batched {
		eventually(t, "a lane is open", func() bool { return r.metric(t, "hotpath_shim_lanes") > 0 })
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

// logged is a log that a test can read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) has(text string) bool { return strings.Contains(l.String(), text) }

// ask sends a request and returns who answered it.
func (r *rig) ask(t testing.TB, ctx context.Context, options ...grpc.CallOption) string {
	t.Helper()
	reply, err := r.client.UnaryCall(ctx, requestOf("a"), options...)
	if err != nil {
		t.Fatalf("UnaryCall: %v", err)
	}
	return reply.GetUsername()
}

// metric sums the samples of a family whose labels include these.
func (r *rig) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			found := map[string]string{}
			for _, pair := range m.GetLabel() {
				found[pair.GetName()] = pair.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && found[labels[i]] == labels[i+1]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func (r *rig) fallbacks(t testing.TB, reason string) float64 {
	t.Helper()
	return r.metric(t, "hotpath_shim_fallbacks_total", "method", unaryCall, "reason", reason)
}

func outgoing(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
