package supervise

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeClock stands still until a test lets one of the waiters go on.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	d    time.Duration
	due  time.Time
	over chan time.Time
	// stopped is closed when nobody waits any more.
	stopped chan struct{}
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1000, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{d: d, due: c.now.Add(d), over: make(chan time.Time), stopped: make(chan struct{})}
	c.timers = append(c.timers, t)
	return t.over, sync.OnceFunc(func() { c.drop(t); close(t.stopped) })
}

func (c *fakeClock) drop(t *fakeTimer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = slices.DeleteFunc(c.timers, func(other *fakeTimer) bool { return other == t })
}

func (c *fakeClock) waiting(least, most time.Duration) *fakeTimer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if t.d >= least && t.d <= most {
			return t
		}
	}
	return nil
}

// fire waits until somebody waits for d, and ends that wait.
func (c *fakeClock) fire(t *testing.T, d time.Duration) {
	t.Helper()
	c.fireWithin(t, d, d)
}

// fireWithin is like fire, for a time that is random.
func (c *fakeClock) fireWithin(t *testing.T, least, most time.Duration) {
	t.Helper()
	eventually(t, "somebody waits for "+least.String()+" to "+most.String(), func() bool {
		timer := c.waiting(least, most)
		if timer == nil {
			return false
		}
		c.mu.Lock()
		c.now = timer.due
		c.mu.Unlock()
		select {
		case timer.over <- timer.due:
			c.drop(timer)
			return true
		case <-timer.stopped:
			return false
		}
	})
}
