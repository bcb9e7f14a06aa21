package splice

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rawClient speaks HTTP/2 by hand.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	*listener
	out     bytes.Buffer
	write   *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
}

// newRawClient has come so far that calls are hot.
func newRawClient(t *testing.T, addr string, settings ...http2.Setting) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &rawClient{t: t, conn: conn, listener: newListener(conn)}
	c.write = http2.NewFramer(&c.out, nil)
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.out.WriteString(http2.ClientPreface)
	_ = c.write.WriteSettings(settings...)
	c.send()
	for !c.acked && c.next() {
	}
	return c
}

func (c *rawClient) send() {
	_, _ = c.conn.Write(c.out.Bytes())
	c.out.Reset()
}

// headers begins a call of the hot method.
func (c *rawClient) headers(id uint32) {
	c.encoded.Reset()
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", hotMethod}, {":authority", "door"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = c.write.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encoded.Bytes(), EndHeaders: true})
}

func message(q []byte) []byte {
	m := encode(q)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

func TestGracefulStopLosesNoCall(t *testing.T) {
	r := newRig(t, rigOptions{})
	var answered atomic.Int64
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		conn := r.dial()
		r.warm(conn)
		callers.Go(func() {
			for number := uint32(0); ; number++ {
				// With wait for ready, a call that was not taken goes to the next connection, of which there is none any more.
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				err := check(ctx, conn, hotMethod, []byte{doLate, doAnswer, doLocal, doGo}[number%4], number, int(number%3)*40_000, 10)
				cancel()
				select {
				case <-stop:
					if err != nil && !refusedConnection(err) {
						t.Error(err)
					}
					if err != nil {
						return
					}
				default:
					if err != nil {
						t.Error(err)
						return
					}
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, "calls are under way", func() bool { return answered.Load() > 200 })
	close(stop)
	r.server.GracefulStop()
	callers.Wait()
}

// A hot call that is under way when grpc-go begins to drain is answered, or still handed to grpc-go.
func TestGracefulStopWaitsForHotCalls(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn := r.dial()
	r.warm(conn)
	results := make(chan error, 2)
	for number := range uint32(2) {
		go func() {
			got, err := invoke(context.Background(), conn, hotMethod, question(doNever, number, 0, 0))
			if err == nil && len(got) == 0 {
				err = io.ErrUnexpectedEOF
			}
			results <- err
		}()
	}
	calls := func() (all []*Call) {
		r.policy.mu.Lock()
		defer r.policy.mu.Unlock()
		for call := range r.policy.never {
			all = append(all, call)
		}
		return all
	}
	eventually(t, "two calls are under way", func() bool { return len(calls()) == 2 })
	stopped := make(chan struct{})
	go func() {
		r.server.GracefulStop()
		close(stopped)
	}()
	eventually(t, "the client has seen the GOAWAY", func() bool {
		held := false
		r.conns.Range(func(key, _ any) bool {
			c := key.(*Conn)
			c.mu.Lock()
			defer c.mu.Unlock()
			held = c.core.heldAck
			return true
		})
		return held
	})
	for i, call := range calls() {
		if i == 0 {
			call.Answer(nil, encode([]byte("late")), 0, false)
			r.door.FlushDirty()
			if err := <-results; err != nil {
				t.Error(err)
			}
			continue
		}
		call.Body[2] = doAnswer // so that the service answers it
		call.Local("", "")
		r.door.FlushDirty()
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	<-stopped
}

// refusedConnection says whether the call could not begin, because nobody listens any more.
func refusedConnection(err error) bool {
	return bytes.Contains([]byte(err.Error()), []byte("connection refused"))
}

func TestPanicCostsOneConnection(t *testing.T) {
	r := newRig(t, rigOptions{})
	one, other := r.dial(), r.dial()
	r.warm(one)
	r.warm(other)
	late := make(chan error, 1)
	go func() {
		_, err := invoke(context.Background(), other, hotMethod, question(doNever, 1, 0, 0))
		late <- err
	}()
	eventually(t, "a call of the other connection is under way", func() bool {
		r.policy.mu.Lock()
		defer r.policy.mu.Unlock()
		return len(r.policy.never) == 1
	})
	if _, err := invoke(context.Background(), one, hotMethod, question(doPanic, 1, 0, 0)); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	r.policy.mu.Lock()
	for call := range r.policy.never {
		call.Answer(nil, encode([]byte("still here")), 0, false)
	}
	clear(r.policy.never)
	r.policy.mu.Unlock()
	r.door.FlushDirty()
	if err := <-late; err != nil {
		t.Error(err)
	}
	r.warm(one) // by a new connection
	r.ended(brokePanic, 1)
}

func TestClientThatVanishesCancelsItsCalls(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := newRawClient(t, r.addr)
	for id := uint32(1); id < 20; id += 2 {
		c.headers(id)
		_ = c.write.WriteData(id, true, message(question(doNever, id, 0, 0)))
	}
	c.send()
	is := func(begun, cancelled int) func() bool {
		return func() bool {
			r.policy.mu.Lock()
			defer r.policy.mu.Unlock()
			return r.policy.begun == begun && r.policy.cancel == cancelled
		}
	}
	eventually(t, "the calls have begun", is(10, 0))
	_ = c.conn.Close()
	eventually(t, "the calls are cancelled", is(10, 10))
}

func TestResetsAreBounded(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Resets: 100}})
	c := newRawClient(t, r.addr)
	for id := uint32(1); id < 2000; id += 2 {
		c.headers(id)
		_ = c.write.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	c.send()
	for c.next() {
	}
	if c.goAway != "ENHANCE_YOUR_CALM" || c.stuck {
		t.Errorf("%+v", c.outcome)
	}
	r.ended(brokeResets, 1)
}

func TestHeaderBlocksAreBounded(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Continuations: 10}})
	c := newRawClient(t, r.addr)
	_ = c.write.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}})
	for range 11 {
		_ = c.write.WriteContinuation(1, false, nil)
	}
	c.send()
	for c.next() {
	}
	if c.goAway != "ENHANCE_YOUR_CALM" {
		t.Errorf("%+v", c.outcome)
	}
	r.ended(brokeHeaders, 1)
}

func TestIncompleteRequestsGoToGRPC(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Incomplete: 20 * time.Millisecond}})
	c := newRawClient(t, r.addr)
	q := question(doAnswer, 1, 0, 50)
	m := message(q)
	c.headers(1)
	_ = c.write.WriteData(1, false, m[:10])
	c.send()
	local := func() bool { return len(r.streams()) == 1 && r.streams()[0] != 0 }
	eventually(t, "grpc-go has the call", local)
	_ = c.write.WriteData(1, true, m[10:])
	c.send()
	for c.streams[1] == "" && c.next() {
	}
	if want := message(reply("go", q)); !bytes.Equal(c.data[1], want) {
		t.Errorf("%+v %q", c.outcome, c.data[1])
	}
}

// streams are the ids towards grpc-go of the streams of all connections; 0 is a hot one.
func (r *rig) streams() (all []uint32) {
	r.conns.Range(func(key, _ any) bool {
		c := key.(*Conn)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.core.streams.each(func(s *stream) { all = append(all, s.inner) })
		return true
	})
	return all
}

// A client that does not read is read from only until it has many unread bytes, and loses its connection in the end.
func TestClientThatDoesNotRead(t *testing.T) {
	const unread = 200_000
	r := newRig(t, rigOptions{limits: Limits{Unread: unread, Stall: 300 * time.Millisecond}})
	c := newRawClient(t, r.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = c.write.WriteWindowUpdate(0, 1<<30)
	most, shortest := int64(0), 1000
	var broken error
	for id := uint32(1); broken == nil && id < 1<<20; id += 2 {
		c.headers(id)
		_ = c.write.WriteData(id, true, message(question(doAnswer, id, 50_000, 0)))
		shortest = min(shortest, c.out.Len())
		_, broken = c.conn.Write(c.out.Bytes())
		c.out.Reset()
		most = max(most, r.door.unread.Load())
	}
	if broken == nil {
		t.Fatal("the client could send for ever")
	}
	// One chunk of requests may come on top, each with its reply.
	if limit := int64(unread + (chunkBytes/shortest+1)*51_000); most > limit {
		t.Errorf("%d bytes were kept for the client, more than %d", most, limit)
	}
	eventually(t, "nothing is kept for the client", func() bool { return r.door.Unread() == 0 })
	r.ended(brokeStalled, 1)
}

// The replies that a slow client has not taken when grpc-go closes the connection still reach it.
func TestCloseWaitsForTheLastBytes(t *testing.T) {
	door := NewServer(Config{Hot: newPolicy()})
	client, served := net.Pipe()
	conn, _, err := door.Creds(nil).ServerHandshake(served)
	if err != nil {
		t.Fatal(err)
	}
	var hello bytes.Buffer
	_ = http2.NewFramer(&hello, nil).WriteSettings()
	want := bytes.Repeat(hello.Bytes(), 1000)
	go func() {
		_, _ = conn.Write(want[:len(want)/2])
		_, _ = conn.Write(want[len(want)/2:])
		_ = conn.Close()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d: %v", len(got), len(want), err)
	}
}

func TestIdleConnectionIsSmall(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn := r.dial()
	r.warm(conn)
	mix(t, conn, 20, 10)
	idle := func() bool {
		small := false
		r.conns.Range(func(key, _ any) bool {
			c := key.(*Conn)
			c.mu.Lock()
			defer c.mu.Unlock()
			core := &c.core
			size := int(unsafe.Sizeof(*c)) + cap(c.input.small) + cap(core.partial) + cap(core.block) + cap(core.serverBlock) +
				int(unsafe.Sizeof(slot{}))*(len(core.streams.slots)+len(core.inner.slots)) + cap(core.unacked)*int(unsafe.Sizeof(clientSettings{}))
			// reading means that the door waits for the client; only then may its own buffer be looked at.
			small = c.reading && core.toClient == nil && core.toServer == nil && core.first == nil && core.batch == nil && size < 4096
			return true
		})
		return small
	}
	eventually(t, "the connection has less than 4 KB of the door's own", idle)
}

// The list of connections to flush is emptied by the policy, which may never answer anything.
func TestColdCallsLeaveNothingToFlush(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn := r.dial()
	for number := range uint32(20) {
		if err := check(context.Background(), conn, hotMethod, doLocal, number, 0, 0); err != nil {
			t.Error(err)
		}
		if err := converse(context.Background(), conn, number, 100_000, 0); err != nil {
			t.Error(err)
		}
	}
	if r.door.dirty.Load() != nil {
		t.Error("a connection is in the list")
	}
}

func TestCallsOfManyConnectionsAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{server: []grpc.ServerOption{grpc.NumStreamWorkers(2)}})
	var all sync.WaitGroup
	for range 10 {
		conn := r.dial()
		all.Go(func() { mix(t, conn, 3, 20) })
	}
	all.Wait()
}
