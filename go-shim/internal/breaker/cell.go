package breaker

import (
	"fmt"
	"sync/atomic"
	"time"

	"hotpath.dev/go-shim/internal/backoff"
)

// State says what a breaker does with calls.
type State uint8

const (
	// Closed lets all calls pass.
	Closed State = iota
	// Open lets no call pass until its time is over.
	Open
	// HalfOpen lets one call at a time pass, as a probe.
	HalfOpen
)

func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// cell is one breaker. The mu of Breakers guards it.
type cell struct {
	name string

	// These three fields are also read without mu. open is true in all states but Closed.
	open atomic.Bool
	// badness counts the doubts since the last success. A failure counts as doubtsPerFailure doubts.
	badness    atomic.Int64
	generation atomic.Uint32

	state   State
	probing bool
	// wait is how long the breaker stays open. until is when that time ends.
	wait         time.Duration
	until        time.Time
	failedProbes int
	backoff      backoff.Backoff
}

// pass is one cell's part of a ticket.
type pass struct {
	generation uint32
	probe      bool
}

func (c *cell) init(name string, cfg Config) {
	c.name, c.backoff = name, backoff.Backoff{Min: cfg.MinBackoff, Max: cfg.MaxBackoff, Jitter: cfg.jitter}
}

func (c *cell) pass() pass { return pass{generation: c.generation.Load()} }

// current is false for a call that began before the cell's last change.
func (c *cell) current(p pass) bool { return p.generation == c.generation.Load() }

// clear resets the badness. It needs no lock.
func (c *cell) clear(p pass) {
	if c.badness.Load() != 0 && c.current(p) {
		c.badness.Store(0)
	}
}

// admits says whether a call may pass. A probe must wait for later after the open time has ended.
func (c *cell) admits(now time.Time, later time.Duration) bool {
	return c.state == Closed || !c.probing && !now.Before(c.until.Add(later))
}

// enter makes the call the probe, unless the breaker is closed.
func (b *Breakers) enter(c *cell) pass {
	p := c.pass()
	if c.state == Closed {
		return p
	}
	p.probe, c.probing = true, true
	if c.state == Open {
		b.become(c, HalfOpen, "its time is over")
	}
	return p
}

// trip opens the breaker, also again after it was half open.
func (b *Breakers) trip(c *cell, why string) {
	c.probing = false
	if c.state == HalfOpen {
		c.failedProbes++
	}
	c.wait = c.backoff.Next()
	c.until = b.cfg.Now().Add(c.wait)
	// Allow depends on this order.
	c.open.Store(true)
	c.generation.Add(1)
	b.become(c, Open, why)
}

func (b *Breakers) close(c *cell, why string) {
	c.probing = false
	c.generation.Add(1)
	if c.state != Closed {
		b.become(c, Closed, why)
	}
	c.failedProbes, c.wait = 0, 0
	c.badness.Store(0)
	c.backoff.Reset()
	c.open.Store(false)
}

func (b *Breakers) become(c *cell, to State, why string) {
	change := Change{Breaker: c.name, From: c.state, To: to, Why: why, FailedProbes: c.failedProbes,
		Failures: float64(c.badness.Load()) / doubtsPerFailure}
	if to == Open {
		change.For = c.wait
	}
	c.state = to
	b.changes = append(b.changes, change)
}
