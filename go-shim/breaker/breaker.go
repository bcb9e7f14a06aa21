// Package breaker stops calls to a sidecar that keeps failing, so that a hung one costs few requests a hop timeout.
package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"hotpath.dev/go-shim/internal/backoff"
)

// doubtsPerFailure is how many doubts weigh as much as one failure.
const doubtsPerFailure = 20

// Config says when to open and for how long.
type Config struct {
	// Failures in a row that open the breaker, or 20 times as many doubts.
	Failures int
	// MinBackoff is how long it stays open at first, MaxBackoff at most; each failed probe doubles the time.
	MinBackoff, MaxBackoff time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Breaker is closed (calls pass), open (none do) or, once the backoff is over, half open: one call at a time probes.
type Breaker struct {
	cfg Config

	// open and badness are also read without mu: the way of a healthy call takes no lock.
	open atomic.Bool
	// badness counts doubts, and failures as the doubts that they weigh, since the last success.
	badness    atomic.Int64
	generation atomic.Uint64

	mu      sync.Mutex
	until   time.Time
	probing bool
	backoff backoff.Backoff
}

// Ticket is the leave to make one call. Hand it back by exactly one of Success, Failure, Doubt or Abandon.
type Ticket struct {
	generation uint64
	probe      bool
}

// New makes a closed breaker.
func New(cfg Config) *Breaker {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Breaker{cfg: cfg, backoff: backoff.Backoff{Min: cfg.MinBackoff, Max: cfg.MaxBackoff}}
}

// Open is true from the opening until a probe succeeds.
func (b *Breaker) Open() bool { return b.open.Load() }

// Allow says whether a call may be made.
func (b *Breaker) Allow() (Ticket, bool) {
	if !b.open.Load() {
		return Ticket{generation: b.generation.Load()}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open.Load() {
		return Ticket{generation: b.generation.Load()}, true
	}
	if b.probing || b.cfg.Now().Before(b.until) {
		return Ticket{}, false
	}
	b.probing = true
	return Ticket{generation: b.generation.Load(), probe: true}, true
}

// Success closes the breaker if the call was the probe.
func (b *Breaker) Success(t Ticket) {
	if !t.probe {
		if b.badness.Load() != 0 && t.generation == b.generation.Load() {
			b.badness.Store(0)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.generation == b.generation.Load() {
		b.close()
	}
}

// Failure counts towards opening, or opens it again for longer if the call was the probe.
func (b *Breaker) Failure(t Ticket) { b.count(t, doubtsPerFailure) }

// Doubt is for a call that failed as it does on a broken sidecar, but also for reasons of its own: it takes many of
// them, with no success in between, so that one caller can't open the breaker for all. Nor can one keep it open: if the
// call was the probe, the next call probes.
func (b *Breaker) Doubt(t Ticket) {
	if t.probe {
		b.Abandon(t)
		return
	}
	b.count(t, 1)
}

func (b *Breaker) count(t Ticket, weight int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Calls that began before the last change say nothing about the time after it.
	if t.generation != b.generation.Load() {
		return
	}
	if !t.probe && b.badness.Add(weight) < int64(b.cfg.Failures)*doubtsPerFailure {
		return
	}
	b.probing = false
	b.until = b.cfg.Now().Add(b.backoff.Next())
	b.generation.Add(1)
	b.open.Store(true)
}

// Abandon hands back a ticket whose call says nothing about the sidecar, such as one that its caller cancelled.
func (b *Breaker) Abandon(t Ticket) {
	if !t.probe {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.generation == b.generation.Load() {
		b.probing = false
	}
}

// Reset closes the breaker: there is a new sidecar, or a new connection.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
}

func (b *Breaker) close() {
	b.probing = false
	b.badness.Store(0)
	b.backoff.Reset()
	b.generation.Add(1)
	b.open.Store(false)
}
