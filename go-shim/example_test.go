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

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/shimtest"
)

// A server takes these options in one line, with or without a sidecar. Options that follow override them.
func ExampleFrontDoor() {
	server := grpc.NewServer(append(shim.FrontDoor(), grpc.MaxRecvMsgSize(1<<20))...)
	walletv1.RegisterWalletServiceServer(server, &service{})
	fmt.Println(len(server.GetServiceInfo()), "service")
	// Output: 1 service
}

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
		Methods:    []string{"/wallet.v1.WalletService/GetBalance"},
	}, ledger)
	if err != nil {
		panic(err)
	}
	defer side.Close()
	server := grpc.NewServer(side.ServerOptions()...)
	walletv1.RegisterWalletServiceServer(side.Wrap(server), service)
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
		reply, err := walletv1.NewWalletServiceClient(conn).GetBalance(context.Background(), &walletv1.GetBalanceRequest{})
		if len(sidecar.Calls()) > 0 {
			fmt.Println(len(reply.GetBalances()), err)
		}
	}
	// Output: 0 <nil>
}
