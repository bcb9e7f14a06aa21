// Package lane carries requests in batches: many requests per message, on a few streams.
//
//	Call, Post ──> slab: take a slot ──> queue: append a frame ──> flush: next takes the queue ──> sidecar
//	  ^                                                                                               │
//	  └───── slab: free the slot, give the outcome <── deliver: parse replies <── Message <───────────┘
//
// A lane is one exchange stream on one connection of package wire, whose reader calls Message. A request takes a slot,
// and its frame goes to the message that the lane sends next. Who calls, waits; who posts, gets the outcome by a
// function call (post.go). All frames that gather until somebody flushes leave as one message. A full lane accepts no
// more requests. When all lanes are full, the caller learns so at once. A lane that breaks, or whose peer breaks a
// rule, fails its callers at once and is opened again; the other lanes go on. The states of a slot are in slab.go.
//
// transport.go picks the lane, call.go sends what fits no lane to Config.Large, post.go is the way without a waiting
// goroutine, frame.go has the bounds of frames, and pieces.go joins long replies.
package lane

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/internal/transport"
)

// Observer hears about the lanes. Its methods are called from many goroutines, at most once per message.
type Observer interface {
	// Opened and Closed alternate for each lane.
	Opened()
	Closed()
	// Failed is called for each lane that was lost or could not be opened. The reason is one of Reasons.
	Failed(reason string)
	// Sent is called for each message, with the number of requests in it. Done is called with the number of requests
	// that are no longer in flight.
	Sent(requests int)
	Done(requests int)
}

// Config is what a Transport needs.
type Config struct {
	Peer transport.Peer
	// Large carries requests and replies that are too long for a frame.
	Large    transport.Transport
	Observer Observer
	Log      *slog.Logger
	// AfterReceive is called when the outcomes of one message, or those that come together for another reason, have
	// been given. It may be nil.
	AfterReceive func()
}

// Transport has a lane on each connection.
type Transport struct {
	cfg   Config
	lanes []*lane
	quiet *ratelog.Limiter
	grace time.Duration
	// began is the origin of the lanes' clock.
	began time.Time
	// spread counts down requests while they go to all lanes.
	spread  atomic.Int32
	waiters sync.Pool

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes a transport and opens its lanes in the background.
func New(cfg Config) *Transport {
	if cfg.AfterReceive == nil {
		cfg.AfterReceive = func() {}
	}
	t := &Transport{cfg: cfg, quiet: ratelog.New(cfg.Log, 10*time.Second), grace: replyGrace, began: time.Now()}
	t.waiters.New = func() any { return &waiter{done: make(chan struct{}, 1)} }
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	for _, opener := range cfg.Peer.Lanes {
		l := newLane(t, opener)
		t.lanes = append(t.lanes, l)
		t.running.Go(func() { l.run(ctx) })
	}
	return t
}

// Close implements transport.Transport.
func (t *Transport) Close() {
	t.stop()
	t.running.Wait()
	t.cfg.Large.Close()
}

// UnderWay implements transport.Counting.
func (t *Transport) UnderWay() int {
	n := 0
	for _, l := range t.lanes {
		_, inFlight := l.pressure()
		n += inFlight
	}
	if large, counts := t.cfg.Large.(transport.Counting); counts {
		n += large.UnderWay()
	}
	return n
}

// Large returns the transport for what no lane can carry.
func (t *Transport) Large() transport.Transport { return t.cfg.Large }

// now is the lanes' clock.
func (t *Transport) now() int64 { return int64(time.Since(t.began)) }

// A batch on one lane is twice as long as on two, and two lanes cost 1.35 times the CPU with 64 in flight
// (BenchmarkCall). But with one lane the sidecar uses only one core. So all requests go to the first lane, unless it
// had fewInFlight requests in flight a short while ago, which is more than a batch or two.
const (
	fewInFlight = 128
	spreadFor   = 1024 // requests
)

// first returns the lane to try first.
func (t *Transport) first() int {
	if t.lanes[0].load.Load() >= fewInFlight && t.spread.Load() < spreadFor/2 {
		t.spread.Store(spreadFor)
	}
	if t.spread.Load() <= 0 {
		return 0
	}
	n := uint32(t.spread.Add(-1))
	one, other := int(n%uint32(len(t.lanes))), int((n+1)%uint32(len(t.lanes)))
	// Of two, take the one with less load: a stalled lane fills up.
	if t.lanes[other].load.Load() < t.lanes[one].load.Load() {
		return other
	}
	return one
}

// posting is a request that looks for a lane.
type posting struct {
	to Receiver
	// gone is closed when the caller leaves. It is nil if only Cancel says so.
	gone   <-chan struct{}
	frame  frame
	now    int64
	budget time.Duration
	// alone is true if nobody calls Flush for this request.
	alone bool
}

// send goes round the lanes until one takes the request. If it returns mustFlush, nobody else is about to flush it.
func (t *Transport) send(p *posting) (_ Ticket, mustFlush bool, _ error) {
	first, busy := t.first(), false
	for i := range t.lanes {
		l := t.lanes[(first+i)%len(t.lanes)]
		switch id, mustFlush, taken := l.enqueue(p); taken {
		case accepted:
			return Ticket{l, id}, mustFlush, nil
		case isFull:
			busy = true
		}
	}
	if busy {
		return Ticket{}, false, transport.ErrBusy
	}
	return Ticket{}, false, errDown()
}

// collateral is an UNAVAILABLE that is no failure of its own.
type collateral struct{ *status.Status }

func (c collateral) Error() string              { return c.Err().Error() }
func (c collateral) GRPCStatus() *status.Status { return c.Status }
func (c collateral) Unwrap() error              { return transport.ErrCollateral }

func errDown() error {
	return collateral{status.New(codes.Unavailable, "no lane to the sidecar is open")}
}

func errTimeout() error {
	return status.Error(codes.DeadlineExceeded, "the sidecar did not reply in time")
}
