package shim

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/shimtest"
)

// scripted is a transport that gives every request that is posted the same outcome. Without one it panics, as it does if
// it is asked for an answer that was too long.
type scripted struct {
	panicking
	out  *lane.Outcome
	side *atomic.Pointer[Side]
}

func (p scripted) Post(_ *transport.Request, to lane.Receiver) (lane.Ticket, error) {
	if p.out == nil {
		panic("bug")
	}
	go func() {
		to.Receive(p.out)
		p.side.Load().door.splice.FlushDirty()
	}()
	return lane.Ticket{}, nil
}

func (scripted) Cancel(lane.Ticket) bool      { return false }
func (scripted) Flush()                       {}
func (p scripted) Large() transport.Transport { return p.panicking }

// holding is a transport that never answers, and says when a request was posted, and when a cancellation was flushed.
type holding struct {
	scripted
	cancelled       *atomic.Bool
	posted, flushed chan struct{}
}

func (h holding) Post(*transport.Request, lane.Receiver) (lane.Ticket, error) {
	h.posted <- struct{}{}
	return lane.Ticket{}, nil
}

func (h holding) Cancel(lane.Ticket) bool {
	h.cancelled.Store(true)
	return true
}

func (h holding) Flush() {
	if h.cancelled.Swap(false) {
		h.flushed <- struct{}{}
	}
}

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

// overScripted returns a shim whose door is open, and a client.
func overScripted(t *testing.T, out *lane.Outcome) (*Side, testpb.TestServiceClient) {
	t.Helper()
	over := scripted{out: out, side: new(atomic.Pointer[Side])}
	side, client := overTransport(t, over)
	over.side.Store(side)
	return side, client
}

func overTransport(t *testing.T, over transport.Transport) (*Side, testpb.TestServiceClient) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	shimtest.Start(t, socket)
	cfg := Config{Run: Attach, Socket: socket, Methods: []string{testpb.TestService_UnaryCall_FullMethodName}, HopTimeout: time.Minute,
		FrontDoor: Spliced, Experiment: experiment.Config{OpenDoor: true},
		Logger: slog.New(slog.DiscardHandler), Breaker: Breaker{Failures: 1},
		newTransport: func(transport.Peer) transport.Transport { return over }}
	side, err := Open(t.Context(), cfg, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	for end := time.Now().Add(time.Minute); !side.Status().Ready; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never ready")
		}
	}
	return side, callThrough(t, side)
}

func TestPanicBehindTheDoorEndsInTheLocalHandler(t *testing.T) {
	for name, out := range map[string]*lane.Outcome{"Post": nil, "the long way": {TooLong: true}} {
		t.Run(name, func(t *testing.T) {
			side, client := overScripted(t, out)
			reply, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
			if err != nil || reply.GetUsername() != "LOCAL" {
				t.Fatalf("%v, %v", reply, err)
			}
			if open := side.sidecars[0].Load().breaker.Open(); !slices.Equal(open, side.cfg.Methods) {
				t.Fatal("the panic is not counted as a failure")
			}
		})
	}
}

func TestPiecesOfALongReplyComeTogether(t *testing.T) {
	want := testpb.SimpleResponse{Payload: &testpb.Payload{Body: bytes.Repeat([]byte("long"), 50_000)}, Username: "SIDECAR"}
	body, err := proto.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	_, client := overScripted(t, &lane.Outcome{Before: body[:99_999], Body: body[99_999:], Positioned: true})
	for range 3 {
		reply, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
		if err != nil || !proto.Equal(reply, &want) {
			t.Fatalf("%d bytes, %v", proto.Size(reply), err)
		}
	}
}

// Nobody else may flush for long.
func TestCancellationsLeaveAtOnce(t *testing.T) {
	over := holding{cancelled: new(atomic.Bool), posted: make(chan struct{}, 1), flushed: make(chan struct{}, 1)}
	_, client := overTransport(t, over)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
			left <- err
		}()
		<-over.posted
		cancel()
		if err := <-left; status.Code(err) != codes.Canceled {
			t.Fatalf("got %v", err)
		}
		select {
		case <-over.flushed:
		case <-time.After(time.Minute):
			t.Fatal("the sidecar does not hear of it")
		}
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

func TestOneServerMayBeWrappedForEachRegistration(t *testing.T) {
	side := &Side{cfg: Config{Run: Attach}}
	one, other := grpc.NewServer(), grpc.NewServer()
	first := side.Wrap(one).(registrar).server
	if side.Wrap(one).(registrar).server != first || side.Wrap(other).(registrar).server == first {
		t.Error("servers are not told apart by their registrars")
	}
}

// waitingJob takes a worker's time.
type waitingJob struct{ until chan struct{} }

func (waitingJob) Expect() time.Duration { return 0 }
func (w waitingJob) Run()                { <-w.until }

// What the workers don't take is grpc-go's.
func TestTooManyLocalHandlersAreLeftToGRPC(t *testing.T) {
	side, err := Open(t.Context(), Config{Run: Alone, Methods: []string{testpb.TestService_UnaryCall_FullMethodName}, FrontDoor: Spliced,
		Spliced: SplicedDoor{Local: true}, Experiment: experiment.Config{OpenDoor: true}, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	client := callThrough(t, side)
	byGRPC := 0
	ask := func() {
		t.Helper()
		reply, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
		if err != nil || reply.GetUsername() != "LOCAL" {
			t.Fatalf("%v, %v", reply, err)
		}
		if side.door.servants[0].Load().took.Load() == 0 {
			byGRPC++
		}
	}
	job := waitingJob{make(chan struct{})}
	for range mostLocal {
		if !side.door.workers.Do(job) {
			t.Fatal("refused")
		}
	}
	for range 3 {
		ask()
	}
	if byGRPC != 3 {
		t.Fatalf("%d calls of 3 were left to grpc-go", byGRPC)
	}
	close(job.until)
	for end := time.Now().Add(time.Minute); side.door.servants[0].Load().took.Load() == 0; ask() {
		if time.Now().After(end) {
			t.Fatal("workers take no calls again")
		}
	}
}
