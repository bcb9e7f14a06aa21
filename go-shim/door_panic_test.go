package shim

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/shimtest"
)

// panickingPoster panics either when a request is posted, or when a long answer is asked for again.
type panickingPoster struct {
	panicking
	late bool
}

func (p panickingPoster) Post(_ *transport.Request, to lane.Receiver) (lane.Ticket, error) {
	if !p.late {
		panic("bug")
	}
	go to.Receive(&lane.Outcome{TooLong: true})
	return lane.Ticket{}, nil
}

func (panickingPoster) Cancel(lane.Ticket) bool      { return false }
func (panickingPoster) Flush()                       {}
func (p panickingPoster) Large() transport.Transport { return p.panicking }

// userService answers with the user name LOCAL.
type userService struct {
	testpb.UnimplementedTestServiceServer
}

func (userService) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: "LOCAL"}, nil
}

func (userService) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func TestPanicBehindTheDoorEndsInTheLocalHandler(t *testing.T) {
	for name, late := range map[string]bool{"Post": false, "the long way": true} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s.sock")
			shimtest.Start(t, socket)
			cfg := Config{Run: Attach, Socket: socket, Methods: []string{testpb.TestService_UnaryCall_FullMethodName},
				FrontDoor: Spliced, Experiment: experiment.Config{OpenDoor: true},
				Logger: slog.New(slog.DiscardHandler), Breaker: Breaker{Failures: 1},
				newTransport: func(transport.Peer) transport.Transport { return panickingPoster{late: late} }}
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
			client := callThrough(t, side)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			reply, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
			if err != nil || reply.GetUsername() != "LOCAL" {
				t.Fatalf("%v, %v", reply, err)
			}
			if open := side.breaker.Open(); !slices.Equal(open, cfg.Methods) {
				t.Fatal("the panic is not counted as a failure")
			}
		})
	}
}

// callThrough serves and returns a client whose first call is answered, so that the next one is hot.
func callThrough(t *testing.T, side *Side) testpb.TestServiceClient {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(side.ServerOptions(nil)...)
	testpb.RegisterTestServiceServer(side.Wrap(server), userService{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := testpb.NewTestServiceClient(conn)
	if _, err := client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	return client
}
