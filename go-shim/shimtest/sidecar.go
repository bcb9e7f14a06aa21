package shimtest

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/position"
)

// MaxMessageBytes is the limit that the sidecar names in its Hello.
const MaxMessageBytes = 1 << 20

// Call is one forwarded request.
type Call struct {
	Method string
	Body   []byte
	// Metadata is the metadata of a unary call. For a frame it is what a unary call would have carried.
	Metadata metadata.MD
	Want     position.Want
	// Deadline is the deadline that the shim set.
	Deadline time.Time
	// Batched is true if the request came in a frame.
	Batched bool
}

// Answer is the script's answer to a Call. The zero value is an empty reply at the sidecar's own position.
type Answer struct {
	Body []byte
	Err  error
	// Position, unless it is 0, is sent instead of the sidecar's own.
	Position uint64
	// Unpositioned leaves the position out. InTrailer sends it in the trailer. Garbled sends one that is not a number.
	// A frame can do neither of the last two: InTrailer changes nothing there, and Garbled leaves the position out.
	Unpositioned, InTrailer, Garbled bool
	// Delay is the time to wait before the answer. Hang waits until the shim gives up.
	Delay time.Duration
	Hang  bool
	// Drop closes every connection instead of answering.
	Drop bool
}

// Script decides on answers. It is called from many goroutines, one at a time.
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
	// methods holds the methods that the last Hello accepted, by index.
	methods map[uint32]string
}

// Start serves on the socket until the test ends. Use before for what the sidecar must be like from its first
// connection on, because a shim that waits for it may connect before the test does anything else.
func Start(t testing.TB, socket string, before ...func(*Sidecar)) *Sidecar {
	t.Helper()
	s, err := Listen(socket, before...)
	if err != nil {
		t.Fatalf("fake sidecar: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Listen is like Start, for programs that are not tests. Such a program has to call Stop.
func Listen(socket string, before ...func(*Sidecar)) (*Sidecar, error) {
	// A sidecar that was killed left its socket behind.
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
		// By default a grpc-go server disconnects clients that ping as often as the shim does. hotpathd does not.
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

// Stop ends the sidecar suddenly: its connections are cut.
func (s *Sidecar) Stop() { s.server.Stop() }

// DropConnections cuts all connections. The sidecar goes on listening.
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

// Forget stops the recording of calls, for benchmarks.
func (s *Sidecar) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgets = true
}

// Calls returns the forwarded requests so far.
func (s *Sidecar) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Hellos returns the Hello requests so far.
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
			// These differ from the shim's own indices. One of them is 0, which is also the index of a refused method.
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
	// After the deadline nothing is answered. Such an answer could still reach the caller before the caller's own
	// deadline takes effect.
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

// Overloaded is the error of a sidecar that has more work than it can do in time. Send it without a position.
func Overloaded(message string) error {
	st, err := status.New(codes.ResourceExhausted, message).WithDetails(&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: position.Domain})
	if err != nil {
		return status.Error(codes.ResourceExhausted, message)
	}
	return st.Err()
}
