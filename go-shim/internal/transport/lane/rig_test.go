package lane

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/quiet"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/wire"
	"hotpath.dev/go-shim/shimtest"
)

// mostBytes is the longest reply.
const mostBytes = 4 << 20

// longEnough bounds waits that end as soon as something happens.
const longEnough = time.Minute

// watched is an Observer that a test can look at.
type watched struct {
	open, inFlight, sent, batches atomic.Int64
	// panicSent and panicDone make the observer panic once.
	panicSent, panicDone atomic.Bool

	mu     sync.Mutex
	failed map[string]int
}

func (w *watched) Opened() { w.open.Add(1) }
func (w *watched) Closed() { w.open.Add(-1) }

func (w *watched) Failed(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = map[string]int{}
	}
	w.failed[reason]++
}

func (w *watched) failures(reason string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed[reason]
}

func (w *watched) Sent(requests int) {
	w.sent.Add(int64(requests))
	w.batches.Add(1)
	w.inFlight.Add(int64(requests))
	if w.panicSent.Swap(false) {
		panic("told to")
	}
}

func (w *watched) Done(requests int) {
	w.inFlight.Add(-int64(requests))
	if w.panicDone.Swap(false) {
		panic("told to")
	}
}

// large is the transport for requests that lanes do not carry.
type large struct {
	mu    sync.Mutex
	calls []transport.Request
}

func (l *large) Call(_ context.Context, request *transport.Request) (transport.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, *request)
	return transport.Reply{Body: []byte("large"), Positioned: true}, nil
}

func (l *large) Close() {}

func (l *large) asked() []transport.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]transport.Request(nil), l.calls...)
}

// script says what a peer does with a message of requests.
type script func(p *peerLane, in *hotpathv1.ExchangeRequest) error

// peerLane is the peer's end of a lane.
type peerLane struct {
	stream grpc.ServerStream
	mu     sync.Mutex
}

func (p *peerLane) send(replies ...*hotpathv1.ReplyFrame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.stream.SendMsg(&hotpathv1.ExchangeResponse{Replies: replies}) // the lane may be gone
}

// echoLong echoes the body in pieces of size bytes.
func echoLong(request *hotpathv1.RequestFrame, size int) (frames []*hotpathv1.ReplyFrame) {
	last := echo(request)
	for ; len(last.Body) > size; last.Body = last.Body[size:] {
		frames = append(frames, &hotpathv1.ReplyFrame{Id: request.GetId(), Body: last.Body[:size], More: true})
	}
	return append(frames, last)
}

func echo(request *hotpathv1.RequestFrame) *hotpathv1.ReplyFrame {
	return &hotpathv1.ReplyFrame{Id: request.GetId(), Position: proto.Uint64(7), Body: request.GetBody()}
}

// head returns the first request of a message, or nil if there is none.
func head(in *hotpathv1.ExchangeRequest) *hotpathv1.RequestFrame {
	if len(in.GetRequests()) == 0 {
		return nil
	}
	return in.GetRequests()[0]
}

// honest echoes each request.
func honest(p *peerLane, in *hotpathv1.ExchangeRequest) error {
	var replies []*hotpathv1.ReplyFrame
	for _, request := range in.GetRequests() {
		replies = append(replies, echo(request))
	}
	p.send(replies...)
	return nil
}

type rig struct {
	*Transport
	peer   *shimtest.Peer
	watch  *watched
	large  *large
	script atomic.Pointer[script]
	log    *strings.Builder
}

func newRig(t *testing.T, lanes int, do script) *rig {
	t.Helper()
	r := &rig{watch: &watched{}, large: &large{}, log: &strings.Builder{}}
	r.follow(do)
	r.peer = shimtest.NewPeer(t, r.serve, nil)
	to := transport.Peer{
		Methods: []transport.Name{transport.NameOf(9), transport.NameOf(5), {}}, MaxMessageBytes: mostBytes,
	}
	for range lanes {
		to.Lanes = append(to.Lanes, connect(t, r.peer))
	}
	r.Transport = New(Config{Peer: to, Large: r.large, Observer: r.watch,
		Log: slog.New(slog.NewTextHandler(r.log, nil))})
	t.Cleanup(func() {
		r.Close()
		if r.watch.open.Load() != 0 || r.watch.inFlight.Load() != 0 {
			t.Errorf("%d lanes open, %d requests in flight after Close", r.watch.open.Load(), r.watch.inFlight.Load())
		}
		eventually(t, "no goroutine of a lane is left", func() bool {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return !strings.Contains(string(stacks), "lane.(*lane).") && !strings.Contains(string(stacks), "lane.(*Transport).")
		})
	})
	eventually(t, "open", func() bool { return r.watch.open.Load() == int64(lanes) })
	return r
}

// redialled is a connection that, unlike those of package link, comes back when it is lost.
type redialled struct {
	socket string
	mu     sync.Mutex
	conn   *wire.Conn
}

func connect(t testing.TB, peer *shimtest.Peer) *redialled {
	r := &redialled{socket: peer.Socket()}
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.conn != nil {
			r.conn.Close()
		}
	})
	return r
}

func (r *redialled) Open(call wire.Call) (*wire.Stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		if stream, err := r.conn.Open(call); err == nil {
			return stream, nil
		}
		r.conn.Close()
	}
	conn, err := net.Dial("unix", r.socket)
	if err != nil {
		return nil, err
	}
	r.conn = wire.New(quiet.Wrap(conn), wire.Config{StreamWindow: 1 << 20, ConnWindow: 4 << 20, PingEvery: time.Hour,
		PingTimeout: time.Hour, Authority: "localhost"})
	return r.conn.Open(call)
}

func (r *rig) follow(do script) { r.script.Store(&do) }

func (r *rig) serve(_ any, stream grpc.ServerStream) error {
	p := &peerLane{stream: stream}
	for {
		var in hotpathv1.ExchangeRequest
		if err := stream.RecvMsg(&in); err != nil {
			return nil
		}
		if err := (*r.script.Load())(p, &in); err != nil {
			return err
		}
	}
}

func (r *rig) ask(ctx context.Context, body string, budget time.Duration) (string, error) {
	reply, err := r.Call(ctx, &transport.Request{Index: 1, Method: "/a/b", Body: []byte(body), Budget: budget})
	return string(reply.Body), err
}

// inFlight returns the number of requests in flight by the lanes' own tables.
func (r *rig) inFlight() int {
	n := 0
	for _, l := range r.lanes {
		_, flying := l.pressure()
		n += flying
	}
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(longEnough); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}
