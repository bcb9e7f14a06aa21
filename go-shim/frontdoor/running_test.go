package frontdoor

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/shimtest"
)

// held is a service whose handlers run until they are released.
type held struct{ release chan struct{} }

const holdMethod = "/test.Held/Hold"

func (h held) hold(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := dec(new(wrapperspb.UInt32Value)); err != nil {
		return nil, err
	}
	select {
	case <-h.release:
		return new(wrapperspb.BytesValue), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h held) watch(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(wrapperspb.UInt32Value)); err != nil {
		return err
	}
	return stream.SendMsg(new(wrapperspb.BytesValue))
}

func (h held) register(with grpc.ServiceRegistrar) {
	with.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Held", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Hold", Handler: h.hold}},
		Streams: []grpc.StreamDesc{{StreamName: "Watch", Handler: h.watch, ServerStreams: true}},
	}, h)
}

func hold(t *testing.T, c *shimtest.Caller, path string) uint32 {
	t.Helper()
	body, err := codec.Encode(codec.New(nil), wrapperspb.UInt32(1))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Call(path, body)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Without this bound, 4,000 calls at once made replies of 172 kB each before most of them were refused: 1.5 GB.
func TestHandlersThatRunAreBounded(t *testing.T) {
	h := held{release: make(chan struct{})}
	r := newRig(t, Limits{Running: 2}, h.register)
	c := r.dial(t, 1<<20)
	var streams []uint32
	for range 6 {
		streams = append(streams, hold(t, c, holdMethod))
	}
	are := func(running int, queued int64) {
		t.Helper()
		eventually(t, "so many run and wait", func() bool {
			return r.door.running.count() == running && r.door.running.queued.Load() == queued
		})
	}
	are(2, 4)
	hold(t, c, "/test.Held/Watch")
	if o := outcome(t, c); o.Code != codes.OK {
		t.Errorf("a stream, which takes no turn: %+v", o)
	}
	h.release <- struct{}{}
	o := outcome(t, c)
	if o.Code != codes.OK {
		t.Errorf("got %+v", o)
	}
	are(2, 3)
	// Callers leave. The turn of one that runs goes to the next.
	streams = slices.DeleteFunc(streams, func(id uint32) bool { return id == o.Stream })
	for _, stream := range streams[3:] {
		if err := c.Reset(stream); err != nil {
			t.Fatal(err)
		}
	}
	are(2, 1)
	close(h.release)
	for range 3 {
		if o := outcome(t, c); o.Code != codes.OK {
			t.Errorf("got %+v", o)
		}
	}
	are(0, 0)
	ask(t, c, 10)
	if o := outcome(t, c); o.Code != codes.OK {
		t.Errorf("a call after that got %+v", o)
	}
}

func TestACallWhoseTurnDoesNotComeIsTold(t *testing.T) {
	d := New(Limits{Running: 1})
	if err := d.running.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	err := d.running.begin(ctx)
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "1 calls were running") {
		t.Errorf("got %v", err)
	}
	d.running.end()
	if err := d.running.begin(ctx); err != nil {
		t.Errorf("there is a turn, so nothing waits: %v", err)
	}
}
