package breaker

import (
	"slices"
	"sync"
	"testing"
	"time"
)

type clock struct{ now time.Time }

func (c *clock) read() time.Time         { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

var names = []string{"A", "B", "C"}

const (
	a = iota
	b
	c
)

// rig holds the breakers of three methods, their clock and the changes that they reported.
type rig struct {
	*Breakers
	*clock
	t       *testing.T
	changes []Change
}

func newRig(t *testing.T, failures int) *rig {
	r := &rig{clock: &clock{now: time.Unix(1000, 0)}, t: t}
	r.Breakers = New(Config{Methods: names, Failures: failures, MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second,
		Now: r.read, Changed: func(c Change) { r.changes = append(r.changes, c) }})
	return r
}

func (r *rig) allow(method int) Ticket {
	r.t.Helper()
	ticket, ok := r.Allow(method)
	if !ok {
		r.t.Fatalf("no call of %s is allowed", names[method])
	}
	return ticket
}

func (r *rig) refuse(methods ...int) {
	r.t.Helper()
	for _, method := range methods {
		if _, ok := r.Allow(method); ok {
			r.t.Fatalf("a call of %s is allowed", names[method])
		}
	}
}

func (r *rig) wantOpen(names ...string) {
	r.t.Helper()
	if open := r.Open(); !slices.Equal(open, names) {
		r.t.Fatalf("open: %q, want %q", open, names)
	}
}

func (r *rig) fail(method, times int) {
	r.t.Helper()
	for range times {
		r.Failure(r.allow(method), "hop_timeout")
	}
}

func TestOpensAfterFailuresInARow(t *testing.T) {
	r := newRig(t, 3)
	for range 5 {
		r.fail(a, 2)
		r.Success(r.allow(a))
	}
	r.wantOpen()
	r.fail(a, 3)
	r.wantOpen("A")
	r.refuse(a)
}

func TestOneBadMethodTakesNoOtherAlong(t *testing.T) {
	for failures := range 6 {
		r := newRig(t, failures+1)
		for range 50 {
			for ticket, ok := r.Allow(a); ok; ticket, ok = r.Allow(a) {
				r.Failure(ticket, "hop_timeout")
			}
			r.advance(200 * time.Millisecond)
		}
		r.wantOpen("A")
		r.Success(r.allow(b))
		r.Success(r.allow(c))
	}
}

// When a sidecar hangs, the methods need not learn it one by one.
func TestAHungSidecarOpensTheSideWithTheFirstFailureOfAnotherMethod(t *testing.T) {
	for failures := 1; failures < 7; failures++ {
		r := newRig(t, failures)
		r.fail(a, failures)
		r.wantOpen("A")
		r.fail(b, 1)
		want := []string{Side, "A"}
		if failures == 1 {
			want = append(want, "B")
		}
		r.wantOpen(want...)
		r.refuse(a, b, c)
	}
}

func TestAnAnswerOfAnyMethodSpeaksForTheSide(t *testing.T) {
	r := newRig(t, 5)
	for range 20 {
		r.fail(a, 1)
		r.fail(b, 1)
		r.Success(r.allow(c))
		r.advance(time.Hour)
	}
	r.wantOpen("A", "B")
	r.Success(r.allow(c))
}

func TestLostConnectionsAreTheSidesAlone(t *testing.T) {
	r := newRig(t, 3)
	for range 3 {
		r.wantOpen()
		r.Lost(r.allow(a), "unavailable")
	}
	r.wantOpen(Side)
	r.refuse(a, b, c)
	r.advance(time.Second)
	r.Lost(r.allow(a), "unavailable")
	r.wantOpen(Side)
	r.advance(time.Second)
	r.Success(r.allow(b))
	r.wantOpen()
}

func TestItTakesManyDoubts(t *testing.T) {
	r := newRig(t, 2)
	doubt := func(n int) {
		for range n {
			r.Doubt(r.allow(a), "no_position")
		}
	}
	for range 3 {
		doubt(2*doubtsPerFailure - 1)
		r.Success(r.allow(a))
	}
	r.fail(a, 1)
	doubt(doubtsPerFailure - 1)
	r.wantOpen()
	doubt(1)
	r.wantOpen("A")
}

func TestDoubtfulProbeHandsTheProbeOn(t *testing.T) {
	r := newRig(t, 1)
	r.fail(a, 1)
	r.advance(101 * time.Millisecond)
	r.Doubt(r.allow(a), "no_position")
	r.Success(r.allow(a))
	r.wantOpen()
}

func TestOneProbeAtATime(t *testing.T) {
	r := newRig(t, 1)
	r.fail(a, 1)
	r.advance(101 * time.Millisecond)
	probe := r.allow(a)
	r.refuse(a)
	r.Abandon(probe)
	r.Success(r.allow(a))
	r.wantOpen()
	r.allow(a)
	r.allow(a)

	r.Lost(r.allow(c), "unavailable")
	r.advance(101 * time.Millisecond)
	probe = r.allow(b)
	r.refuse(a, b, c)
	r.Abandon(probe)
	r.Success(r.allow(c))
	r.wantOpen()
}

func TestFailedProbesWaitLongerUpToTheMaximum(t *testing.T) {
	for what, fail := range map[string]func(*rig){
		"A":  func(r *rig) { r.fail(a, 1) },
		Side: func(r *rig) { r.Lost(r.allow(a), "unavailable") },
	} {
		r := newRig(t, 1)
		fail(r)
		for _, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			r.wantOpen(what)
			most *= time.Millisecond
			r.advance(most/2 - 1)
			r.refuse(a)
			r.advance(most/2 + 2)
			fail(r)
		}
	}
}

// A call that fails while it probes the side hardly counts against its method.
func TestAFailedProbeOfTheSideIsADoubtOfItsMethod(t *testing.T) {
	r := newRig(t, 2)
	r.fail(a, 2)
	r.fail(b, 1)
	for range 2*doubtsPerFailure - 1 {
		r.wantOpen(Side, "A")
		r.advance(2 * time.Second)
		r.fail(c, 1)
	}
	r.advance(2 * time.Second)
	r.fail(c, 1)
	r.wantOpen(Side, "A", "C")
}

// Otherwise two bad methods that are called all the time would keep out a good one that is called rarely.
func TestASuspectedMethodProbesTheSideAfterTheOthers(t *testing.T) {
	r := newRig(t, 1)
	r.fail(a, 1)
	r.fail(b, 1)
	r.wantOpen(Side, "A", "B")
	wait := r.side.wait
	r.advance(wait + wait/2 - 1)
	r.refuse(a, b)
	r.Success(r.allow(c))
	r.wantOpen("A", "B")
	// Now each method may probe at once, to see whether only the side was at fault.
	r.Success(r.allow(a))
	r.wantOpen("B")

	// If no other method is called, one of these has to probe.
	r.fail(a, 1)
	r.fail(c, 1)
	r.wantOpen(Side, "A", "B", "C")
	r.advance(2 * time.Second)
	r.Success(r.allow(b))
	r.wantOpen("A", "C")
}

func TestLateOutcomesSayNothing(t *testing.T) {
	r := newRig(t, 1)
	early, late := r.allow(a), r.allow(a)
	r.Failure(early, "hop_timeout")
	r.Success(late)
	r.wantOpen("A")
	r.advance(time.Second)
	r.Success(r.allow(a))
	r.Failure(early, "hop_timeout")
	r.wantOpen()

	lost := r.allow(b)
	r.Lost(r.allow(c), "unavailable")
	r.Success(lost)
	r.wantOpen(Side)
	r.Reset("a new session")
	r.Lost(lost, "unavailable")
	r.wantOpen()
}

func TestResetCloses(t *testing.T) {
	r := newRig(t, 1)
	r.fail(a, 1)
	r.fail(b, 1)
	r.advance(time.Second)
	probe := r.allow(c)
	r.Reset("a new session")
	r.wantOpen()
	r.Failure(probe, "hop_timeout")
	r.wantOpen()
	r.allow(a)
}

func TestTransitionsAreTold(t *testing.T) {
	r := newRig(t, 2)
	r.Doubt(r.allow(a), "no_position")
	r.fail(a, 2)
	r.Lost(r.allow(b), "unavailable")
	r.advance(time.Second)
	r.fail(c, 1)
	r.advance(time.Second)
	r.Success(r.allow(c))
	r.Reset("a new session")
	for i := range r.changes {
		if change := &r.changes[i]; (change.For > 0) != (change.To == Open) {
			t.Errorf("%+v", change)
		}
		r.changes[i].For = 0
	}
	want := []Change{
		{Breaker: "A", From: Closed, To: Open, Why: "hop_timeout", Failures: 2.05},
		{Breaker: Side, From: Closed, To: Open, Why: "unavailable", Failures: 2},
		{Breaker: Side, From: Open, To: HalfOpen, Why: "its time is over", Failures: 2},
		{Breaker: Side, From: HalfOpen, To: Open, Why: "hop_timeout", Failures: 2, FailedProbes: 1},
		{Breaker: Side, From: Open, To: HalfOpen, Why: "its time is over", Failures: 2, FailedProbes: 1},
		{Breaker: Side, From: HalfOpen, To: Closed, Why: "a probe succeeded", FailedProbes: 1},
		{Breaker: "A", From: Open, To: Closed, Why: "a new session", Failures: 2.05},
	}
	if !slices.Equal(r.changes, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", r.changes, want)
	}
}

func TestAHealthyCallAllocatesNothing(t *testing.T) {
	r := newRig(t, 5)
	if n := testing.AllocsPerRun(100, func() { r.Success(r.allow(a)) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// A healthy call must not wait for a lock, because failures of other calls, and their logging, may hold it.
func TestAHealthyCallTakesNoLock(t *testing.T) {
	r := newRig(t, 5)
	r.fail(a, 5)
	r.wantOpen("A")
	r.mu.Lock()
	defer r.mu.Unlock()
	ticket := r.allow(b)
	r.Success(ticket)
	r.Abandon(r.allow(c))
}

func TestConcurrentUse(t *testing.T) {
	b := New(Config{Methods: names, Failures: 2, MinBackoff: 1, MaxBackoff: 2})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 1000 {
				ticket, ok := b.Allow(n % len(names))
				switch {
				case !ok:
				case i%4 == 0:
					b.Failure(ticket, "x")
				case i%4 == 1:
					b.Lost(ticket, "x")
				case i%4 == 2 && n%100 == 0:
					b.Reset("x")
				default:
					b.Success(ticket)
				}
			}
		})
	}
	all.Wait()
	for end := time.Now().Add(20 * time.Second); len(b.Open()) > 0; {
		for method := range names {
			if ticket, ok := b.Allow(method); ok {
				b.Success(ticket)
			}
		}
		if time.Now().After(end) {
			t.Fatal("a probe was lost: it never heals")
		}
	}
}

func TestClearOnlyIfNeitherBreakerIsInTheWay(t *testing.T) {
	r := newRig(t, 2)
	want := func(any bool, clear ...bool) {
		t.Helper()
		for method, want := range clear {
			if got := r.Clear(method); got != want || r.AnyOpen() != any {
				t.Fatalf("%s is clear: %v, some breaker is open: %v", names[method], got, r.AnyOpen())
			}
		}
	}
	want(false, true, true, true)
	for range 2 {
		r.Failure(r.allow(b), "bad")
	}
	want(true, true, false, true)
	// Half open is not clear either: the next call would be the probe, or none.
	r.advance(time.Second)
	probe := r.allow(b)
	want(true, true, false, true)
	r.Success(probe)
	want(false, true, true, true)
	for range 2 {
		r.Lost(r.allow(a), "gone")
	}
	want(true, false, false, false)
	r.Reset("a new session")
	want(false, true, true, true)
}
