package shim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"hotpath.dev/go-shim/internal/backoff"
	"hotpath.dev/go-shim/metrics"
	"hotpath.dev/go-shim/modes"
)

// checkAfter is how long after Open the shim logs what Check finds, in case nobody calls Check.
const checkAfter = 5 * time.Second

// Errors of Check.
var (
	ErrNotRegistered = errors.New("the hot method was never registered: register its service through Side.Wrap")
	ErrNoOptions     = errors.New("hot methods are not forwarded: give Side.ServerOptions to grpc.NewServer, " +
		"before the service is registered")
	ErrStreaming = errors.New("the hot method is registered as streaming: only unary methods can be forwarded")
)

// method is what the swapped handler needs to know about one hot method.
type method struct {
	side  *Side
	index int
	name  string
	// newReply makes an empty reply, to show to interceptors. newRequest makes a request, to see whether bytes are one.
	newRequest, newReply func() proto.Message
	mode                 atomic.Uint32
	metrics              *metrics.Method
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
)

func (s *Side) makeMethods(descriptors []protoreflect.MethodDescriptor) {
	for i, descriptor := range descriptors {
		s.methods = append(s.methods, &method{
			side: s, index: i, name: s.cfg.Methods[i], metrics: s.metrics.Method(i),
			newRequest: maker(descriptor.Input()), newReply: maker(descriptor.Output()),
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

func (s *Side) setModes(table modes.Table) {
	var names []string
	for _, mode := range modes.All() {
		names = append(names, mode.String())
	}
	for i, mode := range table {
		s.methods[i].mode.Store(uint32(mode))
		s.metrics.SetMode(i, mode.String(), names)
	}
}

// ServerOptions returns options for grpc.NewServer. They install a codec that differs from the one registered for proto
// only in that it hands the shim raw bytes. Like every forced codec, it serves requests of any content-subtype.
func (s *Side) ServerOptions() []grpc.ServerOption {
	if s.cfg.Run == Off {
		return nil
	}
	s.optionsTaken.Store(true)
	return []grpc.ServerOption{grpc.ForceServerCodecV2(s.codec)}
}

// Wrap returns a registrar that swaps the handlers of the hot methods and registers with inner. Everything else stays
// as it is. Each wrapped server needs ServerOptions; Check notices only if no server got them.
func (s *Side) Wrap(inner grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	if s.cfg.Run == Off {
		return inner
	}
	return registrar{inner, s}
}

type registrar struct {
	inner grpc.ServiceRegistrar
	side  *Side
}

// RegisterService implements grpc.ServiceRegistrar. The description may be shared, so it is copied.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	swapped := *desc
	swapped.Methods = slices.Clone(desc.Methods)
	for i := range swapped.Methods {
		if m := r.side.hot(desc.ServiceName, swapped.Methods[i].MethodName); m != nil {
			r.side.swap(&swapped.Methods[i], m)
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

func (s *Side) swap(desc *grpc.MethodDesc, m *method) {
	if !s.optionsTaken.Load() {
		m.state.Store(withoutOptions)
		s.log.Error(ErrNoOptions.Error(), "method", m.name)
		return
	}
	m.state.Store(registered)
	h := &handler{method: m, local: desc.Handler}
	desc.Handler = h.handle
}

// Check says which hot methods can't be forwarded because of how the server was put together. Call it after the last
// registration if the service should fail at the start. The shim logs the same a few seconds after Open.
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
		}
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
