package frontdoor

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// arrivals is the list of calls whose message has not arrived yet, oldest first. A timer for each would cost more. If there are
// too many, the oldest gives way: nearly every message comes with its headers, so that it is most likely of a client that
// never sends one. If the newest were refused, such clients could shut all others out.
type arrivals struct {
	most   int
	within time.Duration
	spare  sync.Pool

	mu      sync.Mutex
	first   *call
	last    *call
	waiting int
	tick    uint64
}

// call is one such call. It is reused when its handler has returned.
type call struct {
	list       *arrivals
	stream     any
	receive    func(any) error
	prev, next *call
	began      uint64
	state      callState
	// ctx and turns are those of a unary call. running is true while it has its turn.
	ctx     context.Context
	turns   *running
	running bool
	// decode is c.arrive. It is made once, because a method value is an allocation.
	decode func(any) error
}

type callState uint8

const (
	waiting callState = iota
	arrived
	late
	// crowdedOut: there were too many, and this one had waited longest.
	crowdedOut
)

// ticks is the number of ticks that a message may take to arrive. The first tick may come at once.
const ticks = 4

// finisher is a method of grpc-go's stream that its interface does not show. It answers a call before the handler does,
// and the handler's context then ends.
type finisher interface {
	WriteStatus(*status.Status) error
}

// begin adds a call to the list, and says whether another had to give way. Call end when its handler has returned.
func (a *arrivals) begin(ctx context.Context, receive func(any) error) (c *call, crowded bool) {
	c, _ = a.spare.Get().(*call)
	if c == nil {
		c = &call{list: a}
		c.decode = c.arrive
	}
	c.stream, c.receive, c.state = grpc.ServerTransportStreamFromContext(ctx), receive, waiting
	oldest := a.add(c)
	if oldest != nil {
		finish(oldest, a.crowd())
	}
	return c, oldest != nil
}

// add returns the stream of the call that gives way, if one has to.
func (a *arrivals) add(c *call) (oldest any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting >= a.most && a.first != nil {
		oldest = a.first.stream
		a.remove(a.first, crowdedOut)
	}
	a.waiting++
	c.began, c.prev, c.next = a.tick, a.last, nil
	if a.last == nil {
		a.first = c
	} else {
		a.last.next = c
	}
	a.last = c
	return oldest
}

func (a *arrivals) end(c *call) {
	c.settle(arrived)
	if c.running {
		c.turns.end()
	}
	c.stream, c.receive, c.ctx, c.turns, c.running = nil, nil, nil, nil, false
	a.spare.Put(c)
}

// arrive replaces grpc-go's function that decodes the message. A unary call then waits for its turn.
func (c *call) arrive(into any) error {
	err := c.receive(into)
	switch c.settle(arrived) {
	case late:
		return c.list.lateness().Err()
	case crowdedOut:
		return c.list.crowd().Err()
	}
	if err != nil || c.turns == nil || c.running {
		return err
	}
	err = c.turns.begin(c.ctx)
	c.running = err == nil
	return err
}

// settle ends the wait, unless it has ended already, and returns how it ended.
func (c *call) settle(state callState) callState {
	a := c.list
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.state != waiting {
		return c.state
	}
	a.remove(c, state)
	return state
}

func (a *arrivals) remove(c *call, state callState) {
	c.state = state
	if c.prev == nil {
		a.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		a.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	a.waiting--
}

func (a *arrivals) lateness() *status.Status {
	return status.Newf(codes.DeadlineExceeded, "the request did not arrive within %v", a.within)
}

func (a *arrivals) crowd() *status.Status {
	return status.Newf(codes.ResourceExhausted, "more than %d calls are waiting for their message to arrive, and this one has waited longest", a.most)
}

// finish answers the call of a stream.
func finish(stream any, with *status.Status) {
	if s, ok := stream.(finisher); ok {
		_ = s.WriteStatus(with)
	}
}

// sweep ends the calls that have waited too long, and returns how many. It is called every a.within / ticks.
func (a *arrivals) sweep() int {
	var ended []any
	a.mu.Lock()
	a.tick++
	for a.first != nil && a.first.began+ticks < a.tick {
		ended = append(ended, a.first.stream)
		a.remove(a.first, late)
	}
	a.mu.Unlock()
	for _, stream := range ended {
		finish(stream, a.lateness())
	}
	return len(ended)
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting
}
