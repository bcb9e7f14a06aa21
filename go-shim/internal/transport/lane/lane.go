package lane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// replyGrace is how long an abandoned request may stay without its reply. The sidecar owes a reply as soon as it would
// have begun to answer. A lane on which it forgets replies would fill up.
const replyGrace = 30 * time.Second

// lookEvery is how often a lane looks for callers that have left. If each caller waited for that beside its reply, a
// request would cost 8% more CPU with 64 in flight and 15% more with 256 (BenchmarkCall).
const lookEvery = 20 * time.Millisecond

// lane is a stream that opens again whenever it is lost.
type lane struct {
	*Transport
	conn grpc.ClientConnInterface
	// wake holds a token from the time that something is queued until the writer takes it.
	wake chan struct{}
	// replies is where the reader parses. long is the part that it has of a reply that comes in pieces.
	replies []reply
	long    pieces

	// load is the number of requests in flight, readable without mu.
	load atomic.Int32

	mu   sync.Mutex
	open bool
	slab slab
	// queue is the message that the writer sends next, queued the number of requests in it. cancelled goes at its end.
	queue     *[]byte
	queued    int
	cancelled []uint64
	// alarm is when timer goes off: no later than the first slot's time and, if callers may leave, within lookEvery.
	alarm int64
	timer *time.Timer
	// giveUp ends the stream.
	giveUp context.CancelCauseFunc
}

func newLane(t *Transport, conn grpc.ClientConnInterface) *lane {
	l := &lane{Transport: t, conn: conn, wake: make(chan struct{}, 1), slab: newSlab(maxInFlight), alarm: never}
	l.timer = time.AfterFunc(time.Hour, l.lapse)
	l.timer.Stop()
	return l
}

// taken says whether a lane took a request.
type taken uint8

const (
	accepted taken = iota
	isFull
	isDown
)

// enqueue hands a request to the writer.
func (l *lane) enqueue(w *waiter, f *frame, now, due int64) taken {
	size := f.size()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return isDown
	}
	// 4 bytes hold the tag and the length of any frame.
	if l.slab.full() || len(*l.queue)+4+size > maxMessageBytes-cancelledRoom {
		return isFull
	}
	f.id = l.slab.take(w, due)
	l.load.Store(int32(l.slab.inFlight))
	l.rouse()
	*l.queue = f.append(*l.queue, size)
	l.queued++
	if w.gone != nil {
		due = min(due, now+int64(lookEvery))
	}
	if due < l.alarm {
		l.alarm = due
		// This reads the clock again. The caller may have stood still since now, and the timer must not go off after
		// the alarm.
		l.timer.Reset(time.Duration(due - l.now()))
	}
	return accepted
}

// rouse wakes the writer, unless something is queued already and the writer is on its way to it.
func (l *lane) rouse() {
	if l.queued > 0 || len(l.cancelled) > 0 {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// cancel queues a cancellation for the sidecar. The caller holds l.mu.
func (l *lane) cancel(id uint64) {
	l.rouse()
	l.cancelled = append(l.cancelled, id)
}

// lapse ends the wait of callers whose time is over, or who have left. One timer per lane, which is seldom reset, costs
// a request nothing. A timer per request would cost more than the request's frame.
func (l *lane) lapse() {
	var late, gone []*waiter
	l.mu.Lock()
	now := l.now()
	watched := l.slab.desert(func(id uint64, w *waiter) {
		gone = append(gone, w)
		l.slab.abandon(id, now+int64(l.grace))
		l.cancel(id)
	})
	next, overdue := l.slab.lapse(now, int64(l.grace), func(id uint64, w *waiter) {
		late = append(late, w)
		l.cancel(id)
	})
	if watched {
		next = min(next, now+int64(lookEvery))
	}
	if l.alarm = next; next != never {
		l.timer.Reset(time.Duration(next - now))
	}
	if overdue && l.open {
		l.giveUp(broken(Unanswered, "a request has no reply %v after its time", l.grace))
	}
	l.mu.Unlock()
	for _, w := range late {
		w.finish(outcome{err: errTimeout()})
	}
	for _, w := range gone {
		w.finish(outcome{deserted: true})
	}
}

func (w *waiter) finish(out outcome) {
	w.out = out
	w.done <- struct{}{}
}

// drain takes what is queued. It returns nil if nothing is.
func (l *lane) drain() (message *[]byte, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued == 0 && len(l.cancelled) == 0 {
		return nil, 0
	}
	message, requests = l.queue, l.queued
	*message = appendCancelled(*message, l.cancelled)
	l.queue, l.queued, l.cancelled = l.buffers.get(), 0, l.cancelled[:0]
	return message, requests
}

// pressure returns what the writer decides by: how many requests wait to be sent, and how many are in flight, sent or
// not.
func (l *lane) pressure() (queued, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued, l.slab.inFlight
}

// deliver hands the replies of a message to their callers.
func (l *lane) deliver(message []byte) error {
	var err error
	if l.replies, err = parseReplies(message, l.replies[:0]); err != nil {
		return err
	}
	found, whole := l.claim()
	defer l.cfg.Observer.Done(whole)
	if found < len(l.replies) {
		err = broken(UnknownID, "a reply to %#x, which is not in flight", l.replies[found].id)
	}
	for i := range l.replies[:found] {
		r := &l.replies[i]
		if r.more {
			if broke := l.long.add(r, l.cfg.Peer.MaxMessageBytes); broke != nil {
				return broke // down tells the waiters
			}
			continue
		}
		before := l.long.of(r.id)
		if w := r.waiter; w != nil {
			w.out = r.outcome(before)
			r.waiter = nil
			w.done <- struct{}{}
		}
	}
	clear(l.replies) // the bytes to which they point go back to their pool
	return err
}

// claim frees the slots of all whole replies under one lock, up to the first reply that belongs to no slot.
func (l *lane) claim() (found, whole int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.load.Store(int32(l.slab.inFlight)) }()
	for i := range l.replies {
		r := &l.replies[i]
		if r.more {
			if l.slab.find(r.id) == nil {
				return i, whole
			}
			continue
		}
		w, ok := l.slab.answer(r.id)
		if !ok {
			return i, whole
		}
		r.waiter = w
		whole++
	}
	return len(l.replies), whole
}

// outcome copies what outlives the message. before holds the pieces of the body that came earlier.
func (r *reply) outcome(before []byte) outcome {
	out := outcome{tooLong: r.tooLong}
	out.reply.Position, out.reply.Positioned = r.position, r.positioned
	if code := codes.Code(r.status); code != codes.OK {
		out.err = asStatus(code, r).Err()
		return out
	}
	if len(before) > 0 {
		out.reply.Body = append(before, r.body...)
		return out
	}
	out.reply.Body = make([]byte, len(r.body))
	copy(out.reply.Body, r.body)
	return out
}

// asStatus reads the details as grpc-go reads those of a unary call.
func asStatus(code codes.Code, r *reply) *grpcstatus.Status {
	full := &status.Status{}
	if len(r.details) == 0 || proto.Unmarshal(r.details, full) != nil {
		return grpcstatus.New(code, string(r.message))
	}
	if full.GetCode() == int32(code) {
		return grpcstatus.FromProto(full)
	}
	return grpcstatus.FromProto(&status.Status{Code: int32(code), Message: string(r.message), Details: full.GetDetails()})
}

// up lets requests in.
func (l *lane) up(giveUp context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.giveUp = true, giveUp
	if l.queue == nil {
		l.queue = l.buffers.get()
	}
}

// down fails everything in flight.
func (l *lane) down(cause error) {
	l.mu.Lock()
	inFlight := l.slab.inFlight
	lost := l.slab.clear()
	l.load.Store(0)
	inFlight -= l.queued // these were never sent
	l.open, l.queued, l.cancelled = false, 0, l.cancelled[:0]
	*l.queue = (*l.queue)[:0]
	l.mu.Unlock()
	// After a panic, the reader may have claimed waiters that it did not finish.
	for i := range l.replies {
		if w := l.replies[i].waiter; w != nil {
			l.replies[i].waiter = nil
			lost = append(lost, w)
		}
	}
	l.long = pieces{}
	l.cfg.Observer.Done(inFlight)
	say := grpcstatus.New(codes.Unavailable, "a lane to the sidecar was lost: "+cause.Error())
	for i, w := range lost {
		if i == 0 {
			w.finish(outcome{err: say.Err()})
		} else {
			w.finish(outcome{err: collateral{say}})
		}
	}
}
