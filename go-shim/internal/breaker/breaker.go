// Package breaker stops calls to a sidecar that keeps failing, so that a hung one costs few requests a hop timeout.
//
// Each method has a breaker, and the whole side has one. A call passes if both let it. The rule is:
//
//   - An answer is a success of its method and of the side: it ends what was counted against either.
//   - A lost connection is a failure of the side alone.
//   - Any other failure (no answer in time, or none that can be believed) is one of its method. It also counts against the
//     side, but all that one method has failed since the side's last success falls one failure short of opening it. So one bad
//     method never takes the others along; and of a sidecar that hangs they need not learn each for itself: once one method
//     has failed that often, the first failure of another opens the side.
//   - The call that probes the side is judged by the side: against its method it weighs no more than a doubt, unless it
//     succeeds. A method that has failed since its last success may probe the side only after half as long again as the
//     others: one that may be well goes first. When the side closes, methods that are still open may probe at once.
package breaker

import (
	"sync"
	"time"
)

// doubtsPerFailure is how many doubts weigh as much as one failure.
const doubtsPerFailure = 20

// Side is the name of the breaker for the whole side; the others have the names of their methods.
const Side = "side"

// Config says when to open and for how long.
type Config struct {
	// Methods are the names of the methods that have a breaker.
	Methods []string
	// Failures in a row that open a breaker, or 20 times as many doubts.
	Failures int
	// MinBackoff is how long it stays open at first, MaxBackoff at most; each failed probe doubles the time.
	MinBackoff, MaxBackoff time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Changed is told of each transition, after it, from any goroutine; nil means nobody is.
	Changed func(Change)

	// jitter is that of the backoff.
	jitter func(time.Duration) time.Duration
}

// Change is one transition of one breaker.
type Change struct {
	// Breaker is Side or a method.
	Breaker  string
	From, To State
	// Why is what the outcome behind it was called.
	Why string
	// Failures counted since the last success; a doubt is a part of one.
	Failures float64
	// FailedProbes since it was closed.
	FailedProbes int
	// For is how long it stays open; 0 unless To is Open.
	For time.Duration
}

// Breakers are those of all methods, and the side's.
type Breakers struct {
	cfg     Config
	side    cell
	methods []cell
	// limit is the badness that opens a breaker, and most what one method may add to the side's.
	limit, most int64

	mu sync.Mutex
	// given is what each method added to the side's badness since that was last zero.
	given []int64
	// changes are told once mu is free.
	changes []Change
}

// Ticket is the leave to make one call. Hand it back by exactly one of Success, Failure, Lost, Doubt or Abandon.
// It is part of every request: kept small.
type Ticket struct {
	own, side pass
	method    uint16
}

// New makes breakers that are closed.
func New(cfg Config) *Breakers {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Change) {}
	}
	limit := int64(cfg.Failures) * doubtsPerFailure
	b := &Breakers{cfg: cfg, limit: limit, most: limit - min(doubtsPerFailure, limit/2),
		methods: make([]cell, len(cfg.Methods)), given: make([]int64, len(cfg.Methods))}
	b.side.init(Side, cfg)
	for i, name := range cfg.Methods {
		b.methods[i].init(name, cfg)
	}
	return b
}

// Open names the breakers that are not closed, the side's first.
func (b *Breakers) Open() []string {
	var names []string
	b.each(func(c *cell) {
		if c.open.Load() {
			names = append(names, c.name)
		}
	})
	return names
}

// IsOpen says whether the i-th of the side's breaker and the methods', in this order, is not closed.
func (b *Breakers) IsOpen(i int) bool {
	if i == 0 {
		return b.side.open.Load()
	}
	return b.methods[i-1].open.Load()
}

// Allow says whether a call of a method may be made. The way of a healthy call takes no lock.
func (b *Breakers) Allow(method int) (Ticket, bool) {
	own := &b.methods[method]
	// Before open is read: a ticket from around an opening is then an old one.
	t := Ticket{method: uint16(method), own: own.pass(), side: b.side.pass()}
	if !own.open.Load() && !b.side.open.Load() {
		return t, true
	}
	allowed := false
	b.locked(func() {
		now := b.cfg.Now()
		later := time.Duration(0)
		if own.state != Closed || own.badness.Load() != 0 {
			later = b.side.wait / 2
		}
		if allowed = own.admits(now, 0) && b.side.admits(now, later); allowed {
			t.own, t.side = b.enter(own), b.enter(&b.side)
		}
	})
	return t, allowed
}

// Success closes what the call probed.
func (b *Breakers) Success(t Ticket) {
	own := &b.methods[t.method]
	if !t.own.probe && !t.side.probe {
		own.clear(t.own)
		b.side.clear(t.side)
		return
	}
	b.locked(func() {
		own.clear(t.own)
		b.side.clear(t.side)
		if t.own.probe && own.current(t.own) {
			b.close(own, "a probe succeeded")
		}
		if t.side.probe && b.side.current(t.side) {
			b.close(&b.side, "a probe succeeded")
			now := b.cfg.Now()
			for i := range b.methods {
				b.methods[i].until = now
			}
		}
	})
}

// Failure is for a call whose method may be broken, or the whole side.
func (b *Breakers) Failure(t Ticket, why string) {
	b.locked(func() {
		if b.failSide(t, why) {
			b.count(&b.methods[t.method], t.own, 1, why)
		} else {
			b.failMethod(t, doubtsPerFailure, why)
		}
	})
}

// Lost is for a call that failed because the connection did.
func (b *Breakers) Lost(t Ticket, why string) {
	b.locked(func() {
		if !b.failSide(t, why) {
			b.abandon(t)
			b.count(&b.side, t.side, doubtsPerFailure, why)
		}
	})
}

// Doubt is for a call that failed as it does on a broken sidecar, but also for reasons of its own: it takes many of
// them, with no success in between, so that one caller can't open a breaker for all. Nor can one keep it open: if the
// call was the probe, the next call probes.
func (b *Breakers) Doubt(t Ticket, why string) {
	b.locked(func() {
		if t.own.probe || t.side.probe {
			b.abandon(t)
			return
		}
		b.failMethod(t, 1, why)
	})
}

// Abandon hands back a ticket whose call says nothing about the sidecar, such as one that its caller cancelled.
func (b *Breakers) Abandon(t Ticket) {
	if t.own.probe || t.side.probe {
		b.locked(func() { b.abandon(t) })
	}
}

// Reset closes all: there is a new sidecar, or a new connection.
func (b *Breakers) Reset(why string) {
	b.locked(func() { b.each(func(c *cell) { b.close(c, why) }) })
}

// failSide is true if the call probed the side, which it then opens again.
func (b *Breakers) failSide(t Ticket, why string) bool {
	if !t.side.probe {
		return false
	}
	b.abandon(Ticket{method: t.method, own: t.own})
	if b.side.current(t.side) {
		b.trip(&b.side, why)
	}
	return true
}

func (b *Breakers) failMethod(t Ticket, weight int64, why string) {
	own := &b.methods[t.method]
	if t.own.probe {
		if own.current(t.own) {
			b.trip(own, why)
		}
	} else {
		b.count(own, t.own, weight, why)
	}
	if b.side.badness.Load() == 0 {
		clear(b.given)
	}
	if weight = min(weight, b.most-b.given[t.method]); weight > 0 && b.side.current(t.side) {
		b.given[t.method] += weight
		b.count(&b.side, t.side, weight, why)
	}
}

// count adds to what is held against a breaker. Calls that began before its last change say nothing about the time after.
func (b *Breakers) count(c *cell, p pass, weight int64, why string) {
	if c.current(p) && c.state == Closed && c.badness.Add(weight) >= b.limit {
		b.trip(c, why)
	}
}

func (b *Breakers) abandon(t Ticket) {
	if own := &b.methods[t.method]; t.own.probe && own.current(t.own) {
		own.probing = false
	}
	if t.side.probe && b.side.current(t.side) {
		b.side.probing = false
	}
}

func (b *Breakers) each(do func(*cell)) {
	do(&b.side)
	for i := range b.methods {
		do(&b.methods[i])
	}
}

// locked tells of changes only afterwards: a log that is slow must hold up nobody else.
func (b *Breakers) locked(do func()) {
	b.mu.Lock()
	do()
	changes := b.changes
	b.changes = nil
	b.mu.Unlock()
	for _, change := range changes {
		b.cfg.Changed(change)
	}
}
