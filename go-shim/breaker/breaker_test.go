package breaker

import (
	"sync"
	"testing"
	"time"
)

type clock struct{ now time.Time }

func (c *clock) read() time.Time         { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newBreaker(failures int) (*Breaker, *clock) {
	c := &clock{now: time.Unix(1000, 0)}
	return New(Config{Failures: failures, MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second, Now: c.read}), c
}

func allow(t *testing.T, b *Breaker) Ticket {
	t.Helper()
	ticket, ok := b.Allow()
	if !ok {
		t.Fatal("no call is allowed")
	}
	return ticket
}

func refuse(t *testing.T, b *Breaker) {
	t.Helper()
	if _, ok := b.Allow(); ok {
		t.Fatal("a call is allowed")
	}
}

func TestOpensAfterFailuresInARow(t *testing.T) {
	b, _ := newBreaker(3)
	for range 5 {
		b.Failure(allow(t, b))
		b.Failure(allow(t, b))
		b.Success(allow(t, b))
	}
	if b.Open() {
		t.Fatal("open though no three failed in a row")
	}
	for range 3 {
		b.Failure(allow(t, b))
	}
	if !b.Open() {
		t.Fatal("closed")
	}
	refuse(t, b)
}

func TestItTakesManyDoubts(t *testing.T) {
	b, _ := newBreaker(2)
	for range 3 {
		for range 2*doubtsPerFailure - 1 {
			b.Doubt(allow(t, b))
		}
		b.Success(allow(t, b))
	}
	b.Failure(allow(t, b))
	for range doubtsPerFailure - 1 {
		b.Doubt(allow(t, b))
	}
	if b.Open() {
		t.Fatal("open too early")
	}
	b.Doubt(allow(t, b))
	if !b.Open() {
		t.Fatal("closed")
	}
}

func TestDoubtfulProbeHandsTheProbeOn(t *testing.T) {
	b, c := newBreaker(1)
	b.Failure(allow(t, b))
	c.advance(101 * time.Millisecond)
	b.Doubt(allow(t, b))
	b.Success(allow(t, b))
	if b.Open() {
		t.Fatal("open after a good probe")
	}
}

func TestOneProbeAtATime(t *testing.T) {
	b, c := newBreaker(1)
	b.Failure(allow(t, b))
	c.advance(101 * time.Millisecond)
	probe := allow(t, b)
	refuse(t, b)
	b.Abandon(probe)
	probe = allow(t, b)
	b.Success(probe)
	if b.Open() {
		t.Fatal("open after a good probe")
	}
	allow(t, b)
	allow(t, b)
}

func TestFailedProbesWaitLongerUpToTheMaximum(t *testing.T) {
	b, c := newBreaker(1)
	b.Failure(allow(t, b))
	for _, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		most *= time.Millisecond
		c.advance(most/2 - 1)
		refuse(t, b)
		c.advance(most/2 + 2)
		b.Failure(allow(t, b))
	}
}

func TestLateOutcomesSayNothing(t *testing.T) {
	b, c := newBreaker(1)
	early, late := allow(t, b), allow(t, b)
	b.Failure(early)
	b.Success(late)
	if !b.Open() {
		t.Fatal("closed by a call from before")
	}
	c.advance(time.Second)
	b.Success(allow(t, b))
	b.Failure(early)
	if b.Open() {
		t.Fatal("opened by a call from before")
	}
}

func TestResetCloses(t *testing.T) {
	b, _ := newBreaker(1)
	b.Failure(allow(t, b))
	b.Reset()
	if b.Open() {
		t.Fatal("open")
	}
	allow(t, b)
}

func TestConcurrentUse(t *testing.T) {
	b := New(Config{Failures: 2, MinBackoff: 1, MaxBackoff: 2})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				ticket, ok := b.Allow()
				switch {
				case !ok:
				case i%2 == 0:
					b.Failure(ticket)
				default:
					b.Success(ticket)
				}
			}
		})
	}
	all.Wait()
	for end := time.Now().Add(20 * time.Second); ; {
		if ticket, ok := b.Allow(); ok {
			b.Success(ticket)
			break
		}
		if time.Now().After(end) {
			t.Fatal("a probe was lost: it never heals")
		}
	}
}
