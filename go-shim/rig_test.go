package shim_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/shimtest"
)

const (
	getBalance = walletv1.WalletService_GetBalance_FullMethodName
	// patience bounds waits that end as soon as something happens.
	patience = time.Minute
)

// service is the local handler: it answers with the asset LOCAL.
type service struct {
	walletv1.UnimplementedWalletServiceServer
	mu       sync.Mutex
	requests []*walletv1.GetBalanceRequest
	metadata []metadata.MD
	err      error
	// within is called by the handler, if it is not nil.
	within func(context.Context)
}

func (s *service) GetBalance(ctx context.Context, in *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	s.requests = append(s.requests, in)
	s.metadata = append(s.metadata, md)
	err := s.err
	s.mu.Unlock()
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
	return balances("LOCAL"), nil
}

func (s *service) PostTransaction(context.Context, *walletv1.PostTransactionRequest) (*walletv1.PostTransactionResponse, error) {
	return &walletv1.PostTransactionResponse{Position: 7}, nil
}

func (s *service) served() []*walletv1.GetBalanceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*walletv1.GetBalanceRequest(nil), s.requests...)
}

func (s *service) told(t testing.TB) metadata.MD {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return first(t, s.metadata)
}

// first returns the first element. If there is none, it fails this test, where an index would end all tests.
func first[T any](t testing.TB, of []T) T {
	t.Helper()
	if len(of) == 0 {
		t.Fatalf("no %T where there must be one", *new(T))
	}
	return of[0]
}

func balances(asset string) *walletv1.GetBalanceResponse {
	return &walletv1.GetBalanceResponse{Balances: []*walletv1.Balance{{Asset: asset, Posted: 5}}}
}

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
	client  walletv1.WalletServiceClient
	metrics *prometheus.Registry
	config  shim.Config
}

type setup struct {
	hop    shim.Hop
	config func(*shim.Config)
	server []grpc.ServerOption
	events int
	noFake bool
}

// heeded lets callers choose positions.
func heeded(c *shim.Config) { c.CallerPositions = true }

// eachHop runs a test whose result must not depend on how requests cross.
func eachHop(t *testing.T, test func(t *testing.T, hop shim.Hop)) {
	for _, hop := range []shim.Hop{shim.Batched, shim.Unary} {
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
		Run: shim.Attach, Methods: []string{getBalance}, Socket: filepath.Join(t.TempDir(), "s.sock"),
		Hop: s.hop, HopTimeout: patience, StaleAfter: patience, Metrics: r.metrics, Logger: slog.New(slog.DiscardHandler),
	}
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

func sidecarAnswers(t testing.TB) shimtest.Script {
	body := encode(t, balances("SIDECAR"))
	return func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} }
}

func (r *rig) serve(t testing.TB, options []grpc.ServerOption) {
	t.Helper()
	server := grpc.NewServer(append(options, r.side.ServerOptions()...)...)
	walletv1.RegisterWalletServiceServer(r.side.Wrap(server), r.local)
	if err := r.side.Check(); err != nil {
		t.Fatal(err)
	}
	r.conn = dial(t, server)
	r.client = walletv1.NewWalletServiceClient(r.conn)
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
	if r.config.Hop == shim.Batched {
		eventually(t, "a lane is open", func() bool { return r.metric(t, "hotpath_shim_lanes") > 0 })
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
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

// ask says who answered.
func (r *rig) ask(t testing.TB, ctx context.Context, options ...grpc.CallOption) string {
	t.Helper()
	reply, err := r.client.GetBalance(ctx, &walletv1.GetBalanceRequest{AccountId: "a"}, options...)
	if err != nil {
		t.Fatalf("GetBalance: %v", err)
	}
	return first(t, reply.GetBalances()).GetAsset()
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
	return r.metric(t, "hotpath_shim_fallbacks_total", "method", getBalance, "reason", reason)
}

func outgoing(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
