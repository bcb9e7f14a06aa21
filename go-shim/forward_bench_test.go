package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/shimtest"
)

// instant answers without a hop.
type instant struct{ reply transport.Reply }

func (i instant) Call(context.Context, *transport.Request) (transport.Reply, error) {
	return i.reply, nil
}

func (instant) Close() {}

// BenchmarkPolicy measures what the shim itself adds to a forwarded request, without the transport.
func BenchmarkPolicy(b *testing.B) {
	for _, heard := range []bool{true, false} {
		b.Run(fmt.Sprintf("callers-heard=%v", heard), func(b *testing.B) { policy(b, heard) })
	}
}

func policy(b *testing.B, heard bool) {
	socket := filepath.Join(b.TempDir(), "s.sock")
	shimtest.Start(b, socket)
	cfg := Config{Run: Attach, Socket: socket, Methods: []string{testpb.TestService_UnaryCall_FullMethodName},
		Logger: slog.New(slog.DiscardHandler), CallerPositions: heard,
		newTransport: func(transport.Peer) transport.Transport {
			return instant{transport.Reply{Position: 1, Positioned: true}}
		}}
	side, err := Open(b.Context(), cfg, shimtest.NewLedger("l"))
	if err != nil {
		b.Fatal(err)
	}
	defer side.Close()
	for !side.Status().Ready {
		time.Sleep(time.Millisecond)
	}
	body := []byte("request")
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(":authority", "localhost", "content-type",
		"application/grpc", "user-agent", "grpc-go/1.85.0", "grpc-accept-encoding", "gzip"))
	h := guarded{server: &server{}, handler: handler{method: side.methods[0],
		local: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			return nil, errors.New("not served by the sidecar")
		}}}
	h.server.codec.Store(codecOurs)
	decode := func(into any) error { into.(*codec.Raw).Bytes = body; return nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.handle(nil, ctx, decode, nil); err != nil {
			b.Fatal(err)
		}
	}
}
