// Package standby chooses which of several sidecars is asked. The others stand by.
//
//	0 asked ──> 0 is less well than 1 ──> 1 asked ──> 1 is less well than 0 ──> 0 asked
//
// The choice changes only when another sidecar is in better health than the one that is asked. So one that is well again
// stands by: nobody goes back to it for its own sake, and two that are equally ill are not asked in turns.
package standby

import (
	"sync"
	"sync/atomic"
)

// Health says how well a sidecar can answer. More is better.
type Health uint8

const (
	// Dead: it is not connected, or has not caught up, or was refused.
	Dead Health = iota
	// Failing: it is connected, but it keeps failing.
	Failing
	// Partial: it does not answer all methods.
	Partial
	// Well: nothing is known against it.
	Well
)

// Chooser holds which one is asked. Its methods may be called from any goroutine.
type Chooser[S any] struct {
	all     []*S
	health  func(*S) Health
	changed func(from, to *S)

	asked atomic.Pointer[S]
	mu    sync.Mutex
}

// New chooses the first of all, of which there must be one. changed is called after each change, with a lock held.
func New[S any](all []*S, health func(*S) Health, changed func(from, to *S)) *Chooser[S] {
	c := &Chooser[S]{all: all, health: health, changed: changed}
	c.asked.Store(all[0])
	return c
}

// Asked returns the one that is asked.
func (c *Chooser[S]) Asked() *S { return c.asked.Load() }

// Set replaces all of them. asked, which is one of them, is asked from now on, whatever the health of the others. It does not
// call changed, but Look does, if another one is better.
func (c *Chooser[S]) Set(asked *S, all ...*S) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = all
	c.asked.Store(asked)
}

// Look chooses again. Call it after the health of any of them has changed: the last call sees the last change.
func (c *Chooser[S]) Look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.asked.Load()
	best, most := from, c.health(from)
	for _, one := range c.all {
		if health := c.health(one); health > most {
			best, most = one, health
		}
	}
	if best != from {
		c.asked.Store(best)
		c.changed(from, best)
	}
}
