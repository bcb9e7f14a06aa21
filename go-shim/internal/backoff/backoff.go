// Package backoff spaces out attempts: exponential between two bounds, with jitter.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is for one goroutine. Its zero value never waits.
type Backoff struct {
	Min, Max time.Duration
	// Jitter returns 0 to just below its argument; nil means at random.
	Jitter func(time.Duration) time.Duration
	next   time.Duration
}

// Next is the time to wait before the next attempt: half to all of Min, then twice as long each time, up to Max.
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

// Sleep waits; it returns early, with the error of ctx, if that ends.
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
