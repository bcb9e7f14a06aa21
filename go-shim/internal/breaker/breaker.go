// Package breaker stops calls to a sidecar that keeps failing, so that a hung sidecar costs only few requests a hop
// timeout.
//
// Each method has a breaker, and the whole side (the sidecar) has one. A call passes if both allow it. Each breaker has
// these states:
//
//	        too many failures              its time is over: one call probes
//	closed ───────────────────> open ──────────────────────────────────────> half-open
//	   ^                          ^                                              │ │
//	   │                          └── the probe fails: open again, for longer ───┘ │
//	   └────────────────────────────── the probe succeeds ─────────────────────────┘
//
// The rules are:
//
//   - An answer is a success of its method and of the side. It ends what was counted against either.
//   - A lost connection is a failure of the side alone.
//   - Any other failure (no answer in time, or an answer that breaks the rules) is a failure of its method. It also
//     counts against the side. But all failures of one method since the side's last success leave the side one failure
//     short of opening. So one bad method never takes the others along. When a sidecar hangs, the other methods need
//     not learn it each for itself: once one method has failed that often, the first failure of another opens the side.
//   - A call that probes the side is judged for the side. If it fails, it weighs no more than a doubt against its
//     method. A method that has failed since its last success may probe the side only after one and a half times as
//     long as the others, so that a method that may be well goes first. When the side closes, methods that are still
//     open may probe at once.
package breaker

import (
	"sync"
	"time"
)

// doubtsPerFailure is the number of doubts that weigh as much as one failure.
const doubtsPerFailure = 20

// Side is the name of the breaker for the whole side. The others have the names of their methods.
const Side = "side"

// Config says when to open and for how long.
type Config struct {
	// Methods are the names of the methods that have a breaker.
	Methods []string
	// Failures is the number of failures in a row that open a breaker. 20 times as many doubts do too.
	Failures int
	// MinBackoff is how long a breaker stays open at first, MaxBackoff at most. Each failed probe doubles the time.
	MinBackoff, MaxBackoff time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Changed is called after each transition, from any goroutine. It may be nil.
	Changed func(Change)

	// jitter is the jitter of the backoff.
	jitter func(time.Duration) time.Duration
}

// Change is one transition of one breaker.
type Change struct {
	// Breaker is Side or a method.
	Breaker  string
	From, To State
	// Why is the reason that the caller gave for the outcome behind the change.
	Why string
	// Failures is the number of failures since the last success. A doubt counts as a part of one.
	Failures float64
	// FailedProbes is the number of failed probes since the breaker was closed.
	FailedProbes int
	// For is how long the breaker stays open. It is 0 unless To is Open.
	For time.Duration
}

// Breakers holds the breakers of all methods, and the side's.
type Breakers struct {
	cfg     Config
	side    cell
	methods []cell
	// limit is the badness that opens a breaker. most is the most that one method may add to the side's badness.
	limit, most int64

	mu sync.Mutex
	// given is what each method has added to the side's badness since that was last zero.
	given []int64
	// changes are reported once mu is free.
	changes []Change
}

// Ticket is the permission to make one call. Hand it back by exactly one of Success, Failure, Lost, Doubt or Abandon.
// It is part of every request, and therefore small.
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

// Open returns the names of the breakers that are not closed, the side's first.
func (b *Breakers) Open() []string {
	var names []string
	b.each(func(c *cell) {
		if c.open.Load() {
			names = append(names, c.name)
		}
	})
	return names
}

// IsOpen says whether the i-th breaker is not closed. Breaker 0 is the side's; those of the methods follow.
func (b *Breakers) IsOpen(i int) bool {
	if i == 0 {
		return b.side.open.Load()
	}
	return b.methods[i-1].open.Load()
}

// AnyOpen says whether some breaker is not closed.
func (b *Breakers) AnyOpen() (any bool) {
	b.each(func(c *cell) { any = any || c.open.Load() })
	return any
}

// Clear says whether Allow would let any number of calls of a method pass.
func (b *Breakers) Clear(method int) bool {
	return !b.methods[method].open.Load() && !b.side.open.Load()
}

// Allow says whether a call of a method may be made. It takes no lock while both breakers are closed.
func (b *Breakers) Allow(method int) (Ticket, bool) {
	own := &b.methods[method]
	// This comes before open is read, so that a ticket from around an opening counts as an old one.
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

// Success is for a call that got an answer. It closes the breakers that the call probed.
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

// Failure is for a call that failed because its method, or the whole side, may be broken.
func (b *Breakers) Failure(t Ticket, why string) {
	b.locked(func() {
		if b.failSide(t, why) {
			b.count(&b.methods[t.method], t.own, 1, why)
		} else {
			b.failMethod(t, doubtsPerFailure, why)
		}
	})
}

// Lost is for a call that failed because the connection was lost.
func (b *Breakers) Lost(t Ticket, why string) {
	b.locked(func() {
		if !b.failSide(t, why) {
			b.abandon(t)
			b.count(&b.side, t.side, doubtsPerFailure, why)
		}
	})
}

// Doubt is for a call that failed as on a broken sidecar, but maybe for reasons of its own. Only many doubts, with no
// success in between, open a breaker, so that one caller can't open it for all. Nor can one caller keep it open: if the
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

// Reset closes all breakers, because there is a new sidecar or a new connection.
func (b *Breakers) Reset(why string) {
	b.locked(func() { b.each(func(c *cell) { b.close(c, why) }) })
}

// failSide is true if the call probed the side. It then opens the side again.
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

// count adds to the badness of a breaker. A call that began before the breaker's last change says nothing about the
// time after it.
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

// locked runs do with the lock held and reports changes afterwards, so that a slow log holds up nobody else.
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
