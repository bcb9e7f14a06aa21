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
	out     Outcome

	// lapsing is held while the timer's function runs, so that its end can be waited for.
	lapsing sync.Mutex

	// load is the number of requests in flight, readable without mu.
	load atomic.Int32

	mu   sync.Mutex
	open bool
	slab slab
	// queue is the message that the writer sends next, queued the number of requests in it. cancelled goes at its end.
	queue     *[]byte
	queued    int
	cancelled []uint64
	// roused is true from the time that the writer is woken until it takes what is queued.
	roused bool
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
func (l *lane) enqueue(p *posting) (id uint64, _ taken) {
	f := &p.frame
	size := f.size()
	due := p.now + int64(p.budget)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return 0, isDown
	}
	// 4 bytes hold the tag and the length of any frame.
	if l.slab.full() || len(*l.queue)+4+size > maxMessageBytes-cancelledRoom {
		return 0, isFull
	}
	f.id = l.slab.take(p.to, p.gone, due)
	l.load.Store(int32(l.slab.inFlight))
	*l.queue = f.append(*l.queue, size)
	l.queued++
	if p.alone {
		l.rouse()
	}
	if p.gone != nil {
		due = min(due, p.now+int64(lookEvery))
	}
	if due < l.alarm {
		l.alarm = due
		// This reads the clock again. The caller may have stood still since now, and the timer must not go off after
		// the alarm.
		l.timer.Reset(time.Duration(due - l.now()))
	}
	return f.id, accepted
}

// rouse wakes the writer, unless it is on its way already. The caller holds l.mu.
func (l *lane) rouse() {
	if l.roused {
		return
	}
	l.roused = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// flush sends what is queued.
func (l *lane) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued > 0 || len(l.cancelled) > 0 {
		l.rouse()
	}
}

// cancel queues a cancellation for the sidecar. The caller holds l.mu.
func (l *lane) cancel(id uint64) {
	l.rouse()
	l.cancelled = append(l.cancelled, id)
}

// lapse ends the wait of requests whose time is over, or whose callers have left. One timer per lane, which is seldom
// reset, costs a request nothing. A timer per request would cost more than the request's frame.
func (l *lane) lapse() {
	l.lapsing.Lock()
	defer l.lapsing.Unlock()
	var late, gone []Receiver
	l.mu.Lock()
	now := l.now()
	watched := l.slab.desert(func(id uint64, to Receiver) {
		gone = append(gone, to)
		l.slab.abandon(id, now+int64(l.grace))
		l.cancel(id)
	})
	next, overdue := l.slab.lapse(now, int64(l.grace), func(id uint64, to Receiver) {
		late = append(late, to)
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
	for _, to := range late {
		to.Receive(&Outcome{Err: errTimeout()})
	}
	for _, to := range gone {
		to.Receive(&Outcome{deserted: true})
	}
	if len(late) > 0 {
		l.cfg.AfterReceive()
	}
}

// drain takes what is queued. It returns nil if nothing is.
func (l *lane) drain() (message *[]byte, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued == 0 && len(l.cancelled) == 0 {
		l.roused = false
		return nil, 0
	}
	message, requests = l.queue, l.queued
	l.roused = false
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

// deliver hands the replies of a message to their receivers.
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
				return broke // down tells the receivers
			}
			continue
		}
		before := l.long.of(r.id)
		if to := r.to; to != nil {
			r.to = nil
			r.outcome(before, &l.out)
			to.Receive(&l.out)
		}
	}
	clear(l.replies) // the bytes to which they point go back to their pool
	l.out = Outcome{}
	l.cfg.AfterReceive()
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
		to, ok := l.slab.answer(r.id)
		if !ok {
			return i, whole
		}
		r.to = to
		whole++
	}
	return len(l.replies), whole
}

// outcome says what the reply means. before holds the pieces of the body that came earlier.
func (r *reply) outcome(before []byte, out *Outcome) {
	*out = Outcome{Position: r.position, Positioned: r.positioned, TooLong: r.tooLong}
	if code := codes.Code(r.status); code != codes.OK {
		out.Err = asStatus(code, r).Err()
		return
	}
	out.Before, out.Body = before, r.body
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
	// After a panic, the reader may have claimed receivers to which it gave nothing.
	for i := range l.replies {
		if to := l.replies[i].to; to != nil {
			l.replies[i].to = nil
			lost = append(lost, to)
		}
	}
	l.long = pieces{}
	l.cfg.Observer.Done(inFlight)
	say := grpcstatus.New(codes.Unavailable, "a lane to the sidecar was lost: "+cause.Error())
	for i, to := range lost {
		if i == 0 {
			to.Receive(&Outcome{Err: say.Err()})
		} else {
			to.Receive(&Outcome{Err: collateral{say}})
		}
	}
	if len(lost) > 0 {
		l.cfg.AfterReceive()
	}
}
