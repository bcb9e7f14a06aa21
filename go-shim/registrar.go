package shim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"hotpath.dev/go-shim/internal/backoff"
	"hotpath.dev/go-shim/internal/telemetry"
)

// checkAfter is how long after Open the shim logs what Check finds, in case nobody calls Check.
const checkAfter = 5 * time.Second

// Errors of Check.
var (
	ErrNotRegistered = errors.New("the hot method was never registered: register its service through Side.Wrap")
	ErrNoOptions     = errors.New("hot methods are not forwarded: give Side.ServerOptions to grpc.NewServer, " +
		"before the service is registered")
	ErrStreaming = errors.New("the hot method is registered as streaming: only unary methods can be forwarded")
	// ErrInterceptors is found out by the first request.
	ErrInterceptors = errors.New("the spliced front door is shut, because the server has interceptors, which it would skip: " +
		"set Config.Spliced.SkipInterceptors if hot methods need none of them, or set FrontDoor to Stock")
	ErrSeveralServers = errors.New("the spliced front door is shut, because hot methods are registered with several servers: " +
		"set Config.Spliced.SkipInterceptors if hot methods need the interceptors of none of them, or open a shim for each")
	// ErrForeignCodec is found out by the first request.
	ErrForeignCodec = errors.New("the server has a codec that is not the shim's, so its requests are answered locally: give all " +
		"its options to Side.ServerOptions, and its own codec as Config.Codec instead of by grpc.ForceServerCodecV2 or the like")
)

// method is what the swapped handler needs to know about one hot method.
type method struct {
	side  *Side
	index int
	name  string
	// newReply makes an empty reply, to show to interceptors. newRequest makes a request, to see whether bytes are one.
	newRequest, newReply func() proto.Message
	mode                 atomic.Uint32
	// own is how the service's handler is called; nil until the service is registered.
	own     atomic.Pointer[local]
	metrics *telemetry.Method
	// hedge is nil unless Config.Hedge names the method.
	hedge *hedge
	// told are the keys of response metadata that the log has named.
	told once

	// state is one of the constants below.
	state atomic.Uint32
}

const (
	unregistered uint32 = iota
	registered
	withoutOptions
	streaming
	foreign
)

func (s *Side) makeMethods(descriptors []protoreflect.MethodDescriptor) {
	for i, descriptor := range descriptors {
		s.methods = append(s.methods, &method{
			side: s, index: i, name: s.cfg.Methods[i], metrics: s.metrics.Method(i),
			newRequest: maker(descriptor.Input()), newReply: maker(descriptor.Output()),
			hedge: newHedge(slices.Contains(s.cfg.Hedge, s.cfg.Methods[i])),
		})
	}
}

// maker looks up the type once, at the start, because the lookup takes a lock. schema.Find has made sure that it
// succeeds.
func maker(descriptor protoreflect.MessageDescriptor) func() proto.Message {
	message, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	return func() proto.Message {
		if err != nil {
			return nil
		}
		return message.New().Interface()
	}
}

// ServerOptions returns the options for grpc.NewServer: the service's own, with the shim's before them. The first is
// Creds(nil), which the service's own credentials replace. The other is a codec that differs from Config.Codec only in
// that it hands the shim raw bytes. Like every forced codec, it serves requests of any content-subtype. grpc-go obeys
// the last codec that it gets, so the shim never replaces a codec among the service's own options: that one stays in
// force, the service answers the requests, and Check and the log say so.
func (s *Side) ServerOptions(own []grpc.ServerOption) []grpc.ServerOption {
	if s.cfg.Run == Off {
		return own
	}
	s.optionsTaken.Store(true)
	return append([]grpc.ServerOption{grpc.Creds(s.Creds(nil)), grpc.ForceServerCodecV2(s.codec)}, own...)
}

// Wrap returns a registrar that swaps the handlers of the hot methods and registers with inner. Everything else stays
// as it is. Each wrapped server needs ServerOptions. If one server has none while another has, only the first request
// shows it.
func (s *Side) Wrap(inner grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	if s.cfg.Run == Off {
		return inner
	}
	return registrar{inner, s, s.serverBehind(inner)}
}

// serverBehind returns the same server for the same registrar, so that a service may wrap it for each registration.
func (s *Side) serverBehind(inner grpc.ServiceRegistrar) *server {
	if !reflect.ValueOf(inner).Comparable() {
		return &server{}
	}
	known, _ := s.servers.LoadOrStore(inner, &server{})
	return known.(*server)
}

type registrar struct {
	inner  grpc.ServiceRegistrar
	side   *Side
	server *server
}

// RegisterService implements grpc.ServiceRegistrar. The description may be shared, so it is copied.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	swapped := *desc
	swapped.Methods = slices.Clone(desc.Methods)
	for i := range swapped.Methods {
		if m := r.side.hot(desc.ServiceName, swapped.Methods[i].MethodName); m != nil {
			r.swap(&swapped.Methods[i], m, implementation)
		}
	}
	for i := range desc.Streams {
		if m := r.side.hot(desc.ServiceName, desc.Streams[i].StreamName); m != nil {
			m.state.Store(streaming)
		}
	}
	r.inner.RegisterService(&swapped, implementation)
}

func (s *Side) hot(service, name string) *method {
	i := slices.Index(s.cfg.Methods, "/"+service+"/"+name)
	if i < 0 {
		return nil
	}
	return s.methods[i]
}

func (r registrar) swap(desc *grpc.MethodDesc, m *method, implementation any) {
	if !r.side.optionsTaken.Load() {
		m.state.Store(withoutOptions)
		r.side.log.Error(ErrNoOptions.Error(), "method", m.name)
		return
	}
	m.state.Store(registered)
	m.own.CompareAndSwap(nil, &local{desc.Handler, implementation})
	h := &guarded{handler: handler{method: m, local: desc.Handler}, server: r.server}
	desc.Handler = h.handle
	if r.side.door != nil {
		r.side.door.serve(r.server)
		if r.side.cfg.Experiment.OpenDoor && !r.side.cfg.Spliced.SkipInterceptors {
			r.side.door.meet(h, implementation, nil)
		}
	}
}

// Check says which hot methods can't be forwarded because of how the server was put together. Call it after the last
// registration if the service should fail at the start. The shim logs the same a few seconds after Open. Only a request
// shows ErrForeignCodec, so Check reports that one once there was a request.
func (s *Side) Check() error {
	var found []error
	for _, m := range s.methods {
		switch m.state.Load() {
		case unregistered:
			found = append(found, fmt.Errorf("%s: %w", m.name, ErrNotRegistered))
		case withoutOptions:
			found = append(found, fmt.Errorf("%s: %w", m.name, ErrNoOptions))
		case streaming:
			found = append(found, fmt.Errorf("%s: %w", m.name, ErrStreaming))
		case foreign:
			found = append(found, fmt.Errorf("%s: %w", m.name, ErrForeignCodec))
		}
	}
	if s.door != nil {
		found = append(found, s.door.mistake())
	}
	return errors.Join(found...)
}

func (s *Side) remindOfCheck(ctx context.Context) {
	if backoff.Sleep(ctx, checkAfter) != nil {
		return
	}
	if err := s.Check(); err != nil {
		s.log.Error("some hot methods cannot be forwarded", "error", err)
	}
}
