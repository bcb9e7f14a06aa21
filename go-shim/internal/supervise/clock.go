package supervise

import (
	"context"
	"time"
)

// clock is the time, or a fake of it in tests.
type clock interface {
	Now() time.Time
	// After returns a channel that receives once d is over, and a function to call when nobody waits any more.
	After(d time.Duration) (<-chan time.Time, func())
}

type wall struct{}

func (wall) Now() time.Time { return time.Now() }

func (wall) After(d time.Duration) (<-chan time.Time, func()) {
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

// sleep returns early if ctx ends.
func sleep(ctx context.Context, c clock, d time.Duration) {
	over, stop := c.After(d)
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
