package standby

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// fake is a sidecar whose health the test sets.
type fake struct {
	name   int
	health atomic.Uint32
}

func (f *fake) set(h Health) { f.health.Store(uint32(h)) }

type rig struct {
	*Chooser[fake]
	all     []*fake
	changes []string
}

func newRig(health ...Health) *rig {
	r := &rig{}
	for i, h := range health {
		one := &fake{name: i}
		one.set(h)
		r.all = append(r.all, one)
	}
	r.Chooser = New(r.all, func(f *fake) Health { return Health(f.health.Load()) }, func(from, to *fake) {
		r.changes = append(r.changes, fmt.Sprintf("%d to %d", from.name, to.name))
	})
	return r
}

func (r *rig) becomes(i int, h Health) {
	r.all[i].set(h)
	r.Look()
}

func (r *rig) wants(t *testing.T, asked int, changes ...string) {
	t.Helper()
	if got := r.Asked().name; got != asked || !slices.Equal(r.changes, changes) {
		t.Fatalf("%d is asked after %q, want %d after %q", got, r.changes, asked, changes)
	}
}

func TestTheOtherTakesOverAndStays(t *testing.T) {
	for _, ill := range []Health{Dead, Failing, Partial} {
		t.Run(fmt.Sprint(ill), func(t *testing.T) {
			r := newRig(Well, Well)
			r.becomes(0, ill)
			r.wants(t, 1, "0 to 1")
			r.becomes(0, Well)
			r.wants(t, 1, "0 to 1")
			r.becomes(1, ill)
			r.wants(t, 0, "0 to 1", "1 to 0")
		})
	}
}

func TestTheFirstThatIsThereIsAsked(t *testing.T) {
	r := newRig(Dead, Dead)
	r.wants(t, 0)
	r.becomes(1, Well)
	r.wants(t, 1, "0 to 1")
	r.becomes(0, Well)
	r.wants(t, 1, "0 to 1")
}

func TestNobodyGoesFromOneDeadToTheOther(t *testing.T) {
	r := newRig(Well, Dead)
	r.becomes(0, Dead)
	r.becomes(1, Dead)
	r.wants(t, 0)
	r.becomes(0, Failing)
	r.wants(t, 0)
	r.becomes(1, Partial)
	r.wants(t, 1, "0 to 1")
}

func TestASingleOneIsAlwaysAsked(t *testing.T) {
	r := newRig(Well)
	for _, h := range []Health{Dead, Failing, Well, Dead} {
		r.becomes(0, h)
		r.wants(t, 0)
	}
}

// After any sequence of changes the one that is asked is never less well than the other, and the choice changes only if the
// one before was.
func TestRandomSequences(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRig(Health(random.UintN(4)), Health(random.UintN(4)))
		r.Look()
		asked := r.Asked()
		for step := range 200 {
			i, h := random.IntN(2), Health(random.UintN(4))
			r.all[i].set(h)
			before := len(r.changes)
			r.Look()
			now, other := r.Asked(), r.all[1-r.Asked().name]
			if now.health.Load() < other.health.Load() {
				t.Fatalf("seed %d, step %d: %d is asked with health %d, beside one with %d", seed, step, now.name,
					now.health.Load(), other.health.Load())
			}
			if switched := now != asked; switched != (len(r.changes) > before) || switched && other.health.Load() == now.health.Load() {
				t.Fatalf("seed %d, step %d: from %d to %d for no reason, %q", seed, step, asked.name, now.name, r.changes[before:])
			}
			asked = now
		}
	}
}

// Whoever changes something looks afterwards, so the last one to look sees everything.
func TestChangesAtOnceLeaveTheBetterOne(t *testing.T) {
	for round := range 200 {
		r := newRig(Well, Well)
		var group sync.WaitGroup
		for i := range 2 {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				for range 50 {
					r.becomes(i, Health(random.UintN(4)))
				}
			})
		}
		group.Wait()
		now, other := r.Asked(), r.all[1-r.Asked().name]
		if now.health.Load() < other.health.Load() {
			t.Fatalf("round %d: %d is asked with health %d, beside one with %d", round, now.name, now.health.Load(), other.health.Load())
		}
	}
}

func TestOthersMayTakeTheirPlace(t *testing.T) {
	r := newRig(Failing, Well)
	r.Look()
	r.wants(t, 1, "0 to 1")
	third := &fake{name: 2}
	r.Set(third, third, r.all[1])
	r.wants(t, 2, "0 to 1")
	// It is asked as it was told, until somebody looks.
	r.Look()
	r.wants(t, 1, "0 to 1", "2 to 1")
	third.set(Well)
	r.becomes(1, Dead)
	r.wants(t, 2, "0 to 1", "2 to 1", "1 to 2")
	r.Set(third, third)
	r.becomes(1, Well)
	third.set(Dead)
	r.becomes(0, Well)
	r.wants(t, 2, "0 to 1", "2 to 1", "1 to 2")
}
