package frontdoor_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/frontdoor"
	"hotpath.dev/go-shim/shimtest"
)

type ownCodec struct {
	encoding.CodecV2
	decoded *atomic.Int64
}

func (c ownCodec) Unmarshal(data mem.BufferSlice, v any) error {
	c.decoded.Add(1)
	return c.CodecV2.Unmarshal(data, v)
}

type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: "LOCAL"}, nil
}

// A door's codec comes after the shim's, and both must wrap the service's own.
func TestTheOwnCodecIsKeptBehindDoorAndShim(t *testing.T) {
	own := ownCodec{encoding.GetCodecV2(proto.Name), new(atomic.Int64)}
	for name, c := range map[string]struct {
		given encoding.CodecV2
		kept  bool
	}{"given to both": {own, true}, "given to the shim only": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			own.decoded.Store(0)
			door := frontdoor.New(frontdoor.Limits{Codec: c.given})
			side, client := serveWithShim(t, door, own)
			if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
				t.Fatal(err)
			}
			if got := errors.Is(side.Check(), shim.ErrForeignCodec); got == c.kept {
				t.Errorf("Check says %v", side.Check())
			}
			before := own.decoded.Load()
			_, _ = client.EmptyCall(t.Context(), &testpb.Empty{})
			if got := own.decoded.Load() > before; got != c.kept {
				t.Errorf("the service's codec was asked: %v", got)
			}
		})
	}
}

func serveWithShim(t *testing.T, door *frontdoor.Door, own encoding.CodecV2) (*shim.Side, testpb.TestServiceClient) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "sidecar.sock")
	shimtest.Start(t, socket)
	side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Socket: socket, Codec: own,
		Methods: []string{testpb.TestService_UnaryCall_FullMethodName}, Logger: slog.New(slog.DiscardHandler)}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	for end := time.Now().Add(time.Minute); !side.Status().Ready; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never ready")
		}
	}
	server := grpc.NewServer(side.ServerOptions(door.ServerOptions())...)
	testpb.RegisterTestServiceServer(side.Wrap(door.Wrap(server)), service{})
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "front.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(door.Listen(listener)) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return side, testpb.NewTestServiceClient(conn)
}
