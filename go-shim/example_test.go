package shim_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// A service changes only the lines between the markers. The sidecar in this example is a scripted one.
func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ledger, service := shimtest.NewLedger("ledger-1"), &service{}
	sidecar, err := shimtest.Listen(filepath.Join(dir, "sidecar.sock"))
	if err != nil {
		panic(err)
	}
	defer sidecar.Stop()

	// --- adopting the shim
	side, err := shim.Open(context.Background(), shim.Config{
		Run: shim.Attach, Socket: filepath.Join(dir, "sidecar.sock"), Logger: slog.New(slog.DiscardHandler),
		HopTimeout: time.Minute, // so that a busy machine shows the same
		Methods:    []string{"/grpc.testing.TestService/UnaryCall"},
	}, ledger)
	if err != nil {
		panic(err)
	}
	defer side.Close()
	server := grpc.NewServer(side.ServerOptions(nil)...)
	testpb.RegisterTestServiceServer(side.Wrap(server), service)
	// --- and nothing else

	listener, err := net.Listen("unix", filepath.Join(dir, "front.sock"))
	if err != nil {
		panic(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	// Until the sidecar is ready and a lane to it is open, the service answers.
	for len(sidecar.Calls()) == 0 {
		reply, err := testpb.NewTestServiceClient(conn).UnaryCall(context.Background(), &testpb.SimpleRequest{})
		if len(sidecar.Calls()) > 0 {
			fmt.Printf("%q %v\n", reply.GetUsername(), err)
		}
	}
	// Output: "" <nil>
}
