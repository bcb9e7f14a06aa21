package shimtest

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/position"
)

// MaxMessageBytes is what the sidecar says in its Hello.
const MaxMessageBytes = 1 << 20

// Call is one forwarded request.
type Call struct {
	Method string
	Body   []byte
	// Metadata is what a unary call carried, or would have, of what a frame did.
	Metadata metadata.MD
	Want     position.Want
	// Deadline is what the shim gave.
	Deadline time.Time
	// Batched is true if it came in a frame.
	Batched bool
}

// Answer is what the script says of a Call. Its zero value is an empty reply at the sidecar's own position.
type Answer struct {
	Body []byte
	Err  error
	// Position is said instead of the sidecar's own if it is not 0.
	Position uint64
	// Unpositioned says no position at all. InTrailer says it in the trailer, Garbled says one that is no number; a frame
	// knows neither: there the one changes nothing, and the other is no position.
	Unpositioned, InTrailer, Garbled bool
	// Delay is waited first; Hang waits until the shim gives up.
	Delay time.Duration
	Hang  bool
	// Drop closes every connection instead of answering.
	Drop bool
}

// Script decides on answers; it is called from many goroutines.
type Script func(Call) Answer

// Sidecar is a scripted hotpathd without a model.
type Sidecar struct {
	hotpathv1.UnimplementedControlServiceServer
	hotpathv1.UnimplementedFeedServiceServer
	hotpathv1.UnimplementedExchangeServiceServer

	server   *grpc.Server
	listener *tracking
	changed  *sync.Cond

	mu       sync.Mutex
	state    state
	script   Script
	calls    []Call
	forgets  bool
	verdicts map[string]string
	hellos   []*hotpathv1.HelloRequest
	helloErr error
	// methods are those that the last Hello accepted, by index.
	methods map[uint32]string
}

// Start serves on the socket until the test ends. What it must be like from its first connection on is said in before:
// a shim that waits for it may be faster than the test.
func Start(t testing.TB, socket string, before ...func(*Sidecar)) *Sidecar {
	t.Helper()
	s, err := Listen(socket, before...)
	if err != nil {
		t.Fatalf("fake sidecar: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Listen is Start for programs that are no test.
func Listen(socket string, before ...func(*Sidecar)) (*Sidecar, error) {
	// The sidecar before was killed, and could not remove it.
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{listener: &tracking{Listener: listener}, verdicts: map[string]string{}, methods: map[uint32]string{}}
	s.changed = sync.NewCond(&s.mu)
	s.script = func(Call) Answer { return Answer{} }
	s.server = grpc.NewServer(grpc.ForceServerCodecV2(codec.New(nil)), grpc.UnknownServiceHandler(s.serve),
		grpc.MaxRecvMsgSize(64<<20),
		// grpc-go servers resent the shim's pings; hotpathd does not.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	hotpathv1.RegisterControlServiceServer(s.server, s)
	hotpathv1.RegisterFeedServiceServer(s.server, s)
	hotpathv1.RegisterExchangeServiceServer(s.server, s)
	for _, prepare := range before {
		prepare(s)
	}
	go func() { _ = s.server.Serve(s.listener) }()
	return s, nil
}

// Stop is a sudden death: connections are cut.
func (s *Sidecar) Stop() { s.server.Stop() }

// DropConnections cuts them, and goes on listening.
func (s *Sidecar) DropConnections() { s.listener.drop() }

// Answer sets the script.
func (s *Sidecar) Answer(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// RefuseMethod makes Hello refuse one method from the next connection on.
func (s *Sidecar) RefuseMethod(fullMethod, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdicts[fullMethod] = why
}

// RefuseHello makes Hello fail until it is called with nil.
func (s *Sidecar) RefuseHello(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.helloErr = err
}

// Forget stops recording calls, for benchmarks.
func (s *Sidecar) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgets = true
}

// Calls are the forwarded requests so far.
func (s *Sidecar) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Hellos are those received so far.
func (s *Sidecar) Hellos() []*hotpathv1.HelloRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*hotpathv1.HelloRequest(nil), s.hellos...)
}

// Hello implements the control service.
func (s *Sidecar) Hello(_ context.Context, request *hotpathv1.HelloRequest) (*hotpathv1.HelloResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hellos = append(s.hellos, request)
	if s.helloErr != nil {
		return nil, s.helloErr
	}
	response := &hotpathv1.HelloResponse{ProtocolVersion: request.GetProtocolVersion(), LedgerId: s.state.ledgerID,
		Position: s.state.position(), Build: "shimtest", MaxMessageBytes: MaxMessageBytes}
	clear(s.methods)
	for i, method := range request.GetMethods() {
		verdict := &hotpathv1.MethodVerdict{FullMethod: method.GetFullMethod()}
		refusal, refused := s.verdicts[method.GetFullMethod()]
		if verdict.Accepted, verdict.Refusal = !refused, refusal; !refused {
			// Not the shim's own indices. One of them is 0, which is also what a refused method has.
			verdict.Index = 300 * uint32(len(request.GetMethods())-1-i)
			s.methods[verdict.GetIndex()] = method.GetFullMethod()
		}
		response.Methods = append(response.Methods, verdict)
	}
	return response, nil
}

func (s *Sidecar) serve(_ any, stream grpc.ServerStream) error {
	var in codec.Raw
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	call := Call{Body: in.Bytes}
	call.Method, _ = grpc.MethodFromServerStream(stream)
	call.Metadata, _ = metadata.FromIncomingContext(stream.Context())
	call.Deadline, _ = stream.Context().Deadline()
	var err error
	if call.Want, err = position.FromMetadata(call.Metadata); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return s.reply(stream, call, s.decide(call))
}

func (s *Sidecar) decide(call Call) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.forgets {
		s.calls = append(s.calls, call)
	}
	return s.script(call)
}

func (s *Sidecar) reply(stream grpc.ServerStream, call Call, answer Answer) error {
	if answer.Drop {
		s.DropConnections()
	}
	ctx := stream.Context()
	if answer.Hang || answer.Drop {
		<-ctx.Done()
	} else {
		pause(ctx, answer.Delay)
	}
	if answer.Position == 0 && ctx.Err() == nil {
		answer.Position = s.reach(ctx, call.Want)
	}
	// Nothing that came of waiting is an answer once the time is over: it could still win against the caller's own deadline.
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	if !answer.Unpositioned {
		md := metadata.Pairs(position.Key, text(answer))
		if answer.InTrailer {
			stream.SetTrailer(md)
		} else if err := stream.SetHeader(md); err != nil {
			return err
		}
	}
	if answer.Err != nil {
		return answer.Err
	}
	return stream.SendMsg(&codec.Raw{Bytes: answer.Body})
}
