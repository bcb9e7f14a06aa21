package shim

import (
	"context"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/shimtest"
)

type panicking struct{}

func (panicking) Call(context.Context, *transport.Request) (transport.Reply, error) { panic("bug") }
func (panicking) Close()                                                            {}

func TestPanicOfTheForwardingCodeEndsInTheLocalHandler(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	shimtest.Start(t, socket)
	cfg := Config{Run: Attach, Socket: socket, Methods: []string{testpb.TestService_UnaryCall_FullMethodName},
		Logger: slog.New(slog.DiscardHandler), Breaker: Breaker{Failures: 1},
		newTransport: func(transport.Peer) transport.Transport { return panicking{} }}
	side, err := Open(t.Context(), cfg, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	for end := time.Now().Add(time.Minute); !side.Status().Ready; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never ready")
		}
	}
	if out := side.methods[0].forward(t.Context(), []byte("x"), nil); out.served {
		t.Fatalf("got %+v", out)
	}
	if open := side.sidecars[0].Load().breaker.Open(); !slices.Equal(open, cfg.Methods) {
		t.Fatal("the panic is not counted as a failure")
	}
}
