package lane

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/wire"
)

// replyGrace is how long an abandoned request may stay without its reply. The sidecar owes a reply as soon as it would
// have begun to answer. A lane on which it forgets replies would fill up.
const replyGrace = 30 * time.Second

// lookEvery is how often a lane looks for callers that have left. If each caller waited for that beside its reply, a
// request would cost 8% more CPU with 64 in flight and 15% more with 256 (BenchmarkCall).
const lookEvery = 20 * time.Millisecond

// keptBytes is the longest buffer that is kept for the next message.
const keptBytes = 256 << 10

// lane is a stream that opens again whenever it is lost.
type lane struct {
	*Transport
	conn wire.Opener
	// replies is where the connection's reader parses. long is the part that it has of a reply that comes in pieces.
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
	// queue is the message that leaves next, queued the number of requests in it. cancelled goes at its end. leaving is
	// the one before, which the connection may still be sending.
	queue, leaving []byte
	queued         int
	cancelled      []uint64
	// flushing is true if somebody is about to flush what is queued.
	flushing bool
	// alarm is when timer goes off: no later than the first slot's time and, if callers may leave, within lookEvery.
	alarm int64
	timer *time.Timer
	// stream is the open one.
	stream *wire.Stream
}

func newLane(t *Transport, conn wire.Opener) *lane {
	l := &lane{Transport: t, conn: conn, slab: newSlab(maxInFlight), alarm: never}
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

// enqueue adds a request to the next message. If it returns mustFlush, nobody else is about to flush it.
func (l *lane) enqueue(p *posting) (id uint64, mustFlush bool, _ taken) {
	f := &p.frame
	size := f.size()
	due := p.now + int64(p.budget)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return 0, false, isDown
	}
	// 4 bytes hold the tag and the length of any frame.
	if l.slab.full() || len(l.queue)+4+size > maxMessageBytes-cancelledRoom {
		return 0, false, isFull
	}
	f.id = l.slab.take(p.to, p.gone, due)
	l.load.Store(int32(l.slab.inFlight))
	l.queue = f.append(l.queue, size)
	l.queued++
	if p.alone && !l.flushing {
		l.flushing, mustFlush = true, true
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
	return f.id, mustFlush, accepted
}

// flush sends what is queued.
func (l *lane) flush() {
	l.mu.Lock()
	stream := l.stream
	if l.queued == 0 && len(l.cancelled) == 0 {
		stream = nil
	}
	l.mu.Unlock()
	if stream != nil {
		stream.Flush()
	}
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
		l.cancelled = append(l.cancelled, id)
	})
	next, overdue := l.slab.lapse(now, int64(l.grace), func(id uint64, to Receiver) {
		late = append(late, to)
		l.cancelled = append(l.cancelled, id)
	})
	if watched {
		next = min(next, now+int64(lookEvery))
	}
	if l.alarm = next; next != never {
		l.timer.Reset(time.Duration(next - now))
	}
	stream := l.stream
	l.mu.Unlock()
	if overdue && stream != nil {
		stream.Cancel(broken(Unanswered, "a request has no reply %v after its time", l.grace))
	}
	if len(late)+len(gone) > 0 {
		l.flush()
	}
	for _, to := range late {
		l.guard(func() { to.Receive(&Outcome{Err: errTimeout()}) })
	}
	for _, to := range gone {
		l.guard(func() { to.Receive(&Outcome{deserted: true}) })
	}
	if len(late) > 0 {
		l.guard(l.cfg.AfterReceive)
	}
}

// guard makes a panic of a Receiver cost nothing where no lane can be lost for it.
func (l *lane) guard(do func()) {
	var err error
	func() {
		defer endLane(&err)
		do()
	}()
	if err != nil {
		l.quiet.Warn("panic", "a receiver of outcomes panicked", "cause", err)
	}
}

// drain takes what is queued. It returns nil if nothing is. The message is valid until drain is called again.
func (l *lane) drain() (message []byte, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushing = false
	if !l.open || l.queued == 0 && len(l.cancelled) == 0 {
		return nil, 0
	}
	message, requests = appendCancelled(l.queue, l.cancelled), l.queued
	if l.queue, l.leaving = l.leaving[:0], message; cap(l.queue) > keptBytes {
		l.queue = nil
	}
	l.queued, l.cancelled = 0, l.cancelled[:0]
	return message, requests
}

// pressure returns what gather decides by: how many requests wait to be sent, and how many are in flight, sent or
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
func (l *lane) up(stream *wire.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.stream = true, stream
}

// down fails everything in flight. The stream has ended.
func (l *lane) down(cause error) {
	l.mu.Lock()
	inFlight := l.slab.inFlight
	lost := l.slab.clear()
	l.load.Store(0)
	inFlight -= l.queued // these were never sent
	l.open, l.stream, l.flushing = false, nil, false
	l.queue, l.queued, l.cancelled = l.queue[:0], 0, l.cancelled[:0]
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
		out := Outcome{Err: collateral{say}}
		if i == 0 {
			out.Err = say.Err()
		}
		l.guard(func() { to.Receive(&out) })
	}
	if len(lost) > 0 {
		l.guard(l.cfg.AfterReceive)
	}
}
