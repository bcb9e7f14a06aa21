// Package lane carries requests in batches: many to a message, on a few streams.
//
// A lane is one exchange stream on one connection, with a goroutine that writes and one that reads. A caller takes a
// slot, appends its frame to what the lane sends next, and waits; what gathers while the writer is not yet through
// goes as one message. A full lane takes nothing more, and when all are full the caller is told so at once. A lane that
// breaks, or whose peer breaks a rule, fails its callers at once and is opened again, while the others go on.
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

// Observer is told how lanes fare. Its methods are called from many goroutines, once per message or less.
type Observer interface {
	// Opened and Closed come in turn for each lane.
	Opened()
	Closed()
	// Failed is for each lane that was lost or could not be opened; the reason is one of Reasons.
	Failed(reason string)
	// Sent is for each message, with the requests in it; Done for what is in flight no more.
	Sent(requests int)
	Done(requests int)
}

// Config is what a Transport needs. Nothing may be nil.
type Config struct {
	Peer transport.Peer
	// Large carries what is too long for a frame.
	Large    transport.Transport
	Observer Observer
	Log      *slog.Logger
}

// Transport has a lane on each connection.
type Transport struct {
	cfg   Config
	lanes []*lane
	quiet *ratelog.Limiter
	grace time.Duration
	// began is the origin of the lanes' clock.
	began time.Time
	// spread counts down while requests go to all lanes.
	spread  atomic.Int32
	waiters sync.Pool
	buffers buffers

	stop    context.CancelFunc
	running sync.WaitGroup
}

// waiter is a caller. Whoever takes it out of a slot sends on done, once.
type waiter struct {
	done chan struct{}
	// gone is closed when the caller need not wait any more; nil if that never happens.
	gone <-chan struct{}
	out  outcome
}

type outcome struct {
	reply   transport.Reply
	err     error
	tooLong bool
	// deserted: the lane saw that the caller is gone.
	deserted bool
}

// New opens the lanes in the background.
func New(cfg Config) *Transport {
	t := &Transport{cfg: cfg, quiet: ratelog.New(cfg.Log, 10*time.Second), grace: replyGrace, began: time.Now()}
	t.waiters.New = func() any { return &waiter{done: make(chan struct{}, 1)} }
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	for _, conn := range cfg.Peer.Conns {
		l := newLane(t, conn)
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

// now is the lanes' clock.
func (t *Transport) now() int64 { return int64(time.Since(t.began)) }

// Call implements transport.Transport.
func (t *Transport) Call(ctx context.Context, request *transport.Request) (transport.Reply, error) {
	name, err := t.cfg.Peer.Name(request.Index)
	if err != nil {
		return transport.Reply{}, err
	}
	if len(request.Body) > maxBodyBytes {
		return t.cfg.Large.Call(ctx, request)
	}
	began := t.now()
	w := t.waiters.Get().(*waiter)
	w.gone = ctx.Done()
	if err := t.send(w, request, name, began); err != nil {
		w.gone = nil
		t.waiters.Put(w)
		return transport.Reply{}, err
	}
	<-w.done
	out := w.out
	w.out, w.gone = outcome{}, nil
	t.waiters.Put(w)
	if out.deserted {
		return transport.Reply{}, status.FromContextError(ctx.Err()).Err()
	}
	if out.tooLong {
		return t.again(ctx, request, began)
	}
	return out.reply, out.err
}

// again asks by unary call, in what is left of the time, what had too long an answer.
func (t *Transport) again(ctx context.Context, request *transport.Request, began int64) (transport.Reply, error) {
	rest := *request
	if rest.Budget -= time.Duration(t.now() - began); rest.Budget <= 0 {
		return transport.Reply{}, errTimeout()
	}
	return t.cfg.Large.Call(ctx, &rest)
}

// On one lane a batch is twice as long as on two, which with 64 in flight cost 1.35 times the CPU (BenchmarkCall); but one
// lane keeps the sidecar to one core. So all go to the first lane, unless that had this much in flight a short while ago: more
// than a batch or two are then unanswered.
const (
	fewInFlight = 128
	spreadFor   = 1024 // requests
)

// first is the lane to try first.
func (t *Transport) first() int {
	if t.lanes[0].load.Load() >= fewInFlight && t.spread.Load() < spreadFor/2 {
		t.spread.Store(spreadFor)
	}
	if t.spread.Load() <= 0 {
		return 0
	}
	n := uint32(t.spread.Add(-1))
	one, other := int(n%uint32(len(t.lanes))), int((n+1)%uint32(len(t.lanes)))
	// One that is stalled fills up.
	if t.lanes[other].load.Load() < t.lanes[one].load.Load() {
		return other
	}
	return one
}

// send goes round the lanes until one takes the request.
func (t *Transport) send(w *waiter, request *transport.Request, name uint32, began int64) error {
	f := newFrame(request, name)
	due := began + int64(request.Budget)
	first, busy := t.first(), false
	for i := range t.lanes {
		l := t.lanes[(first+i)%len(t.lanes)]
		switch l.enqueue(w, &f, began, due) {
		case accepted:
			return nil
		case isFull:
			busy = true
		}
	}
	if busy {
		return transport.ErrBusy
	}
	return errDown()
}

// collateral is UNAVAILABLE, but no failure of its own.
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
