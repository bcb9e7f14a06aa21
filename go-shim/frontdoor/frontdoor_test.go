package frontdoor

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/shimprom"
	"hotpath.dev/go-shim/shimtest"
)

const (
	method = "/test.Echo/Repeat"
	// testTimeout bounds waits that end as soon as something happens.
	testTimeout = time.Minute
)

// repeat answers with as many bytes as the request says.
func repeat(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.UInt32Value)
	if err := dec(in); err != nil {
		return nil, err
	}
	return wrapperspb.Bytes(make([]byte, in.GetValue())), nil
}

// rig is a server behind a door. The door's own clock stands still: tests call sweep.
type rig struct {
	door   *Door
	socket string
}

func newRig(t *testing.T, limits Limits, more ...func(grpc.ServiceRegistrar)) *rig {
	t.Helper()
	limits.Logger, limits.Metrics = slog.New(slog.DiscardHandler), shimprom.New(prometheus.NewRegistry())
	limits.Arrival, limits.Stall = 1000*time.Hour, 1000*time.Hour
	r := &rig{New(limits), filepath.Join(t.TempDir(), "s.sock")}
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(r.door.ServerOptions()...)
	r.door.Wrap(server).RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Repeat", Handler: repeat}},
	}, r)
	for _, register := range more {
		register(r.door.Wrap(server))
	}
	go func() { _ = server.Serve(r.door.Listen(listener)) }()
	t.Cleanup(server.Stop)
	return r
}

func (r *rig) dial(t *testing.T, window uint32) *shimtest.Caller {
	t.Helper()
	c, err := shimtest.Dial("unix", r.socket, window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(t *testing.T, c *shimtest.Caller, bytes uint32) uint32 {
	t.Helper()
	body, err := codec.Encode(codec.New(nil), wrapperspb.UInt32(bytes))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Call(method, body)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func outcome(t *testing.T, c *shimtest.Caller) shimtest.Outcome {
	t.Helper()
	select {
	case o, open := <-c.Outcomes:
		if !open {
			t.Fatal("the connection has ended")
		}
		return o
	case <-time.After(testTimeout):
		t.Fatal("no call ended")
	}
	return shimtest.Outcome{}
}

func (r *rig) sweep(times int) {
	for range times {
		r.door.sweep()
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Without this bound, one connection with a window of 0 and 3,000 calls of 1.7 MB made a server hold 5.4 GB.
func TestRepliesThatNobodyReadsAreBounded(t *testing.T) {
	r := newRig(t, Limits{UnreadBytes: 4 << 20})
	greedy := r.dial(t, 0)
	const calls, length = 60, 100_000
	var streams []uint32
	for range calls {
		streams = append(streams, ask(t, greedy, length))
	}
	// One connection may be owed 4 MiB / 4, which has room for ten of the replies.
	for range calls - 10 {
		if o := outcome(t, greedy); o.Code != codes.ResourceExhausted {
			t.Fatalf("got %+v", o)
		}
	}
	if unread := r.door.unread.Load(); unread < 10*length || unread > 1<<20 {
		t.Errorf("%d bytes are held", unread)
	}
	polite := r.dial(t, 1<<20)
	ask(t, polite, length/2)
	if o := outcome(t, polite); o.Code != codes.OK || o.Bytes < length/2 {
		t.Errorf("another caller got %+v", o)
	}
	if err := greedy.Take(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, stream := range streams {
		if err := greedy.Take(stream, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if o := outcome(t, greedy); o.Code != codes.OK || o.Bytes < length {
			t.Errorf("got %+v", o)
		}
	}
	eventually(t, "all has left", func() bool { return r.door.unread.Load() == 0 })
}

func TestOneReplyMayBeLongerThanACallersShare(t *testing.T) {
	r := newRig(t, Limits{UnreadBytes: 1 << 20})
	c := r.dial(t, 1<<30)
	if err := c.Take(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	ask(t, c, 900_000)
	if o := outcome(t, c); o.Code != codes.OK || o.Bytes < 900_000 {
		t.Errorf("got %+v", o)
	}
	ask(t, c, 1<<20)
	if o := outcome(t, c); o.Code != codes.ResourceExhausted {
		t.Errorf("got %+v", o)
	}
}

func TestWhatIsOwedEndsWithTheCallAndWithTheConnection(t *testing.T) {
	const length = 100_000
	r := newRig(t, Limits{})
	c := r.dial(t, 20_000)
	// Once a part of a reply has left, grpc-go has queued all of it. A reset that comes earlier may make it drop the reply,
	// which then counts until the collector has found it.
	first := ask(t, c, length)
	eventually(t, "a part has left", func() bool { owed := r.door.unread.Load(); return 0 < owed && owed < length })
	rest := r.door.unread.Load()
	ask(t, c, length)
	eventually(t, "a part of both has left", func() bool { owed := r.door.unread.Load(); return rest < owed && owed < rest+length })
	if err := c.Reset(first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second is owed", func() bool { return r.door.unread.Load() == rest })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "none is", func() bool { r.sweep(1); return r.door.unread.Load() == 0 && r.door.connections() == 0 })
}

func TestACallerThatTakesNothingIsCutOff(t *testing.T) {
	r := newRig(t, Limits{})
	for _, length := range []uint32{0, 500, 100_000} {
		stuck, slow := r.dial(t, 0), r.dial(t, 0)
		ask(t, stuck, length)
		stream := ask(t, slow, 200_000)
		eventually(t, "both are owed something", func() bool { return r.owing() == 2 })
		if err := slow.Take(0, 1<<20); err != nil {
			t.Fatal(err)
		}
		// A sweep sees what has left since the sweep before. The first sweep may see the beginning of a reply.
		for range ticks + 1 {
			owed := r.door.unread.Load()
			if err := slow.Take(stream, 20_000); err != nil {
				t.Fatal(err)
			}
			eventually(t, "some of it leaves", func() bool { return r.door.unread.Load() < owed })
			if r.door.connections() != 2 {
				t.Fatal("cut off too early")
			}
			r.sweep(1)
		}
		if _, open := <-stuck.Outcomes; open {
			t.Error("the call ended")
		}
		if err := slow.Take(stream, 1<<20); err != nil {
			t.Fatal(err)
		}
		if o := outcome(t, slow); o.Code != codes.OK {
			t.Errorf("the slow one got %+v", o)
		}
		_ = slow.Close()
		eventually(t, "both are gone", func() bool { r.sweep(1); return r.door.connections() == 0 })
	}
}

func (r *rig) owing() (n int) {
	r.door.callers.Range(func(_, value any) bool {
		if value.(*caller).owing.Load() {
			n++
		}
		return true
	})
	return n
}

// Without this bound, 100,000 calls without a message made a server hold 1 GB, for ever.
func TestCallsWithoutAMessageAreBoundedAndEnd(t *testing.T) {
	r := newRig(t, Limits{Waiting: 10})
	c := r.dial(t, 1<<20)
	for range 15 {
		if _, err := c.Begin(method); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if o := outcome(t, c); o.Code != codes.ResourceExhausted {
			t.Errorf("got %+v", o)
		}
	}
	// A whole call is answered all the same, in place of the one that has waited longest.
	ask(t, c, 10)
	seen := map[codes.Code]int{}
	for range 2 {
		seen[outcome(t, c).Code]++
	}
	if seen[codes.OK] != 1 || seen[codes.ResourceExhausted] != 1 {
		t.Errorf("a whole call beside those: %v", seen)
	}
	r.sweep(ticks)
	if n := r.door.arrivals.count(); n != 9 {
		t.Errorf("%d wait, before their time is up", n)
	}
	r.sweep(1)
	for range 9 {
		if o := outcome(t, c); o.Code != codes.DeadlineExceeded {
			t.Errorf("got %+v", o)
		}
	}
	if n := r.door.arrivals.count(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	ask(t, c, 10)
	if o := outcome(t, c); o.Code != codes.OK {
		t.Errorf("a call after that got %+v", o)
	}
}

func TestOneConnectionSaysAndKeepsItsLimits(t *testing.T) {
	r := newRig(t, Limits{Streams: 8, HeaderBytes: 9_000})
	c := r.dial(t, 1<<20)
	if said := <-c.Settings; said[http2.SettingMaxConcurrentStreams] != 8 || said[http2.SettingMaxHeaderListSize] != 9_000 {
		t.Errorf("said %v", said)
	}
	for range 9 {
		if _, err := c.Begin(method); err != nil {
			t.Fatal(err)
		}
	}
	if o := outcome(t, c); o.Reset != http2.ErrCodeRefusedStream {
		t.Errorf("got %+v", o)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, Limits{Connections: 2})
	first, second := r.dial(t, 1<<20), r.dial(t, 1<<20)
	for _, c := range []*shimtest.Caller{first, second} {
		ask(t, c, 10)
		outcome(t, c)
	}
	refused, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := refused.Read(make([]byte, 1)); err == nil {
		t.Errorf("a third was told %d bytes", n)
	}
	_ = first.Close()
	eventually(t, "there is room", func() bool { r.door.forgetClosed(); return r.door.connections() == 1 })
	third := r.dial(t, 1<<20)
	ask(t, third, 10)
	if o := outcome(t, third); o.Code != codes.OK {
		t.Errorf("got %+v", o)
	}
}

// grpc-go drops a reply without returning it if the call is reset while the reply is being queued.
func TestAReplyThatIsDroppedIsOwedNoLonger(t *testing.T) {
	door := New(Limits{})
	c := &caller{door: door}
	for _, length := range []int{10, 50_000} {
		c.take(int64(length))
		owed := &reply{to: c}
		owed.rest.Store(int64(length))
		if _, err := codec.New(nil).Marshal(&codec.Watched{Message: &codec.Raw{Bytes: make([]byte, length)}, Watcher: owed}); err != nil {
			t.Fatal(err)
		}
		if door.unread.Load() != int64(length) {
			t.Errorf("%d bytes are owed", door.unread.Load())
		}
		eventually(t, "it is forgotten", func() bool { runtime.GC(); return door.unread.Load() == 0 })
	}
}
