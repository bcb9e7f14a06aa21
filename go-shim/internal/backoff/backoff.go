// Package backoff spaces out attempts. The waits grow exponentially between two bounds, with jitter.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff computes the waits between attempts. It is for one goroutine. The zero value never waits.
type Backoff struct {
	Min, Max time.Duration
	// Jitter returns a duration from 0 to just below its argument. Nil means a random one.
	Jitter func(time.Duration) time.Duration
	next   time.Duration
}

// Next returns the time to wait before the next attempt: half to all of Min, then twice as long each time, up to Max.
func (b *Backoff) Next() time.Duration {
	if b.next == 0 {
		b.next = b.Min
	}
	wait := b.next
	b.next = min(2*wait, b.Max)
	if wait < 2 {
		return wait
	}
	if b.Jitter != nil {
		return wait/2 + b.Jitter(wait/2)
	}
	return wait/2 + rand.N(wait/2)
}

// Reset starts over at Min.
func (b *Backoff) Reset() { b.next = 0 }

// Sleep waits. If ctx ends first, Sleep returns early, with the error of ctx.
func Sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
