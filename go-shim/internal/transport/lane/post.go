package lane

import (
	"errors"

	"hotpath.dev/go-shim/internal/transport"
)

// ErrTooLong is what Post returns for a body that no frame can carry. Config.Large can.
var ErrTooLong = errors.New("the request is too long for a lane")

// Outcome is what becomes of a request. Before and Body are only valid during Receive: they are part of a buffer that is
// used again.
type Outcome struct {
	// Before holds the earlier pieces of a long reply, which goes on with Body.
	Before, Body []byte
	// Position is where the answer was computed, if Positioned.
	Position   uint64
	Positioned bool
	// Err is the status of the answer, or of what went wrong on the way. It is nil for a reply, and with TooLong.
	Err error
	// TooLong is true if there is an answer that is too long for a lane. It can be asked for again by Config.Large.
	TooLong bool
	// deserted is true if the lane saw that the caller left.
	deserted bool
}

// Receiver gets one outcome, on the goroutine of a lane or of a timer. It must not block.
type Receiver interface{ Receive(out *Outcome) }

// Ticket names a request that was posted.
type Ticket struct {
	lane *lane
	id   uint64
}

// Takes says whether a lane can carry a request's body. For any other, Post returns ErrTooLong.
func Takes(body []byte) bool { return len(body) <= maxBodyBytes }

// Post accepts a request. Its outcome goes to a Receiver once: the answer, DEADLINE_EXCEEDED when its budget is over,
// or UNAVAILABLE when the lane is lost or closed. With an error (transport.ErrBusy, transport.ErrRefused, ErrTooLong,
// or UNAVAILABLE) there is no outcome. The request leaves with the next Flush at the latest, and nothing of it is kept.
func (t *Transport) Post(request *transport.Request, to Receiver) (Ticket, error) {
	name, err := t.cfg.Peer.Name(request.Index)
	if err != nil {
		return Ticket{}, err
	}
	if !Takes(request.Body) {
		return Ticket{}, ErrTooLong
	}
	ticket, _, err := t.send(&posting{to: to, frame: newFrame(request, name), now: t.now(), budget: request.Budget})
	return ticket, err
}

// Cancel gives up a request. If it returns true, there will be no outcome, and the sidecar hears of it with the next
// Flush. Otherwise the outcome was given or is being given.
func (t *Transport) Cancel(ticket Ticket) bool {
	l := ticket.lane
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.slab.abandon(ticket.id, l.now()+int64(l.grace)) {
		return false
	}
	l.cancelled = append(l.cancelled, ticket.id)
	return true
}

// Flush sends what was posted or cancelled before. Whoever has posted a batch calls it once.
func (t *Transport) Flush() {
	for _, l := range t.lanes {
		l.flush()
	}
}
