package main

import (
	"context"
	"encoding/hex"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/shimtest"
)

// collector is an OTLP collector that keeps what it gets.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	mu       sync.Mutex
	services []string
	spans    []*tracepb.Span
}

func (c *collector) Export(_ context.Context, in *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range in.GetResourceSpans() {
		for _, attribute := range from.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				c.services = append(c.services, attribute.GetValue().GetStringValue())
			}
		}
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// The end of walletd sends what is left, so nothing here waits for the exporter's own interval.
func TestHopsThatCallersTraceReachTheCollector(t *testing.T) {
	t.Parallel()
	var got collector
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, &got)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	dir := t.TempDir()
	sidecar := shimtest.Start(t, filepath.Join(dir, "s"))
	s := startServing(t, filepath.Join(dir, "wallet.db"), "--sidecar", "attach", "--sidecar-socket", filepath.Join(dir, "s"),
		"--hop-timeout-ms", "60000", "--otlp", "http://"+listener.Addr().String())
	wallet := walletv1.NewWalletServiceClient(s.conn)
	ask := func(ctx context.Context) {
		// A scripted sidecar answers with an empty message.
		if _, err := wallet.GetBalance(ctx, &walletv1.GetBalanceRequest{AccountId: "me"}); err != nil && len(sidecar.Calls()) > 0 {
			t.Error(err)
		}
	}
	for end := time.Now().Add(time.Minute); len(sidecar.Calls()) == 0; time.Sleep(time.Millisecond) {
		if ask(t.Context()); time.Now().After(end) {
			t.Fatal("the sidecar is never asked")
		}
	}
	ask(metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"))
	ask(metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00"))
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.spans) != 1 || len(got.services) != 1 || got.services[0] != "walletd" {
		t.Fatalf("%d spans of %q", len(got.spans), got.services)
	}
	if span := got.spans[0]; span.GetName() != "hotpath hop" || hex.EncodeToString(span.GetParentSpanId()) != "1112131415161718" {
		t.Errorf("got %v", span)
	}
}
