package lane

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// model says what a slab must do. It has no slots: it keeps ids and their waiters.
type model struct {
	t    *testing.T
	r    *rand.Rand
	slab slab
	now  int64
	// live are the ids in flight. dead are ids that were in flight and must never be again.
	live map[uint64]*request
	dead []uint64
	seen map[uint64]bool
	// requests are all requests so far.
	requests []*request
}

type request struct {
	id       uint64
	waiter   *waiter
	gone     chan struct{}
	due      int64
	waiting  bool
	outcomes int
}

const slots, testTimeout = 8, 50

func newModel(t *testing.T, r *rand.Rand) *model {
	m := &model{t: t, r: r, slab: newSlab(slots), live: map[uint64]*request{}, seen: map[uint64]bool{}}
	for i := range m.slab.slots {
		// Generations begin near their end, because ids must stay different when generations start over.
		m.slab.slots[i].generation = math.MaxUint32 - uint32(r.IntN(40))
	}
	return m
}

func (m *model) send() {
	if m.slab.full() != (len(m.live) == slots) {
		m.t.Fatalf("full: %v, with %d of %d in flight", m.slab.full(), len(m.live), slots)
	}
	if m.slab.full() {
		return
	}
	var gone chan struct{} // nil for one that was posted
	if m.r.IntN(2) == 0 {
		gone = make(chan struct{})
	}
	q := &request{waiter: &waiter{}, gone: gone, due: m.now + 1 + m.r.Int64N(testTimeout), waiting: true}
	q.id = m.slab.take(q.waiter, gone, q.due)
	if m.seen[q.id] || q.id>>32 == 0 {
		m.t.Fatalf("id %#x is used again, or has no generation", q.id)
	}
	m.seen[q.id] = true
	m.live[q.id] = q
	m.requests = append(m.requests, q)
}

// pick returns an id that was used, in flight or not, or one that never was.
func (m *model) pick() uint64 {
	ids := slices.Sorted(maps.Keys(m.live))
	switch {
	case m.r.IntN(10) == 0:
		return m.r.Uint64() >> m.r.IntN(64)
	case m.r.IntN(4) == 0 && len(m.dead) > 0:
		return m.dead[m.r.IntN(len(m.dead))]
	case len(ids) > 0:
		return ids[m.r.IntN(len(ids))]
	default:
		return 0
	}
}

func (m *model) reply() {
	id := m.pick()
	q, inFlight := m.live[id]
	w, ok := m.slab.answer(id)
	if ok != inFlight {
		m.t.Fatalf("reply to %#x: known %v, in flight %v", id, ok, inFlight)
	}
	if !inFlight {
		return
	}
	m.retire(q)
	if !q.waiting && w != nil {
		m.t.Fatalf("reply to %#x, which was abandoned, reaches somebody", id)
	}
	if q.waiting {
		m.finish(q, w)
	}
}

func (m *model) finish(q *request, to Receiver) {
	if to != Receiver(q.waiter) {
		m.t.Fatalf("the outcome of %#x reaches another", q.id)
	}
	q.waiting = false
	q.outcomes++
}

func (m *model) retire(q *request) {
	delete(m.live, q.id)
	m.dead = append(m.dead, q.id)
}

func (m *model) cancel() {
	id := m.pick()
	q := m.live[id]
	due := m.now + 10*testTimeout
	if got, want := m.slab.abandon(id, due), q != nil && q.waiting; got != want {
		m.t.Fatalf("cancellation of %#x: %v, want %v", id, got, want)
	} else if want {
		q.waiting, q.due = false, due
		q.outcomes++
	}
}

// leave makes a caller leave. The slab notices it only by a look at its slots.
func (m *model) leave() {
	q := m.live[m.pick()]
	if q == nil || !q.waiting || q.gone == nil {
		return
	}
	close(q.gone)
	others := m.slab.desert(func(id uint64, to Receiver) {
		left, due := m.live[id], m.now+10*testTimeout
		m.finish(left, to)
		if left.due = due; left != q || !m.slab.abandon(id, due) {
			m.t.Fatalf("%#x did not leave", id)
		}
	})
	var waiting bool
	for _, other := range m.live {
		waiting = waiting || other.waiting && other.gone != nil
	}
	if q.waiting || others != waiting {
		m.t.Fatalf("%#x waits: %v; others: %v, want %v", q.id, q.waiting, others, waiting)
	}
}

func (m *model) timeout() {
	m.now += m.r.Int64N(testTimeout)
	late := map[uint64]Receiver{}
	next, overdue := m.slab.lapse(m.now, 10*testTimeout, func(id uint64, to Receiver) { late[id] = to })
	wantNext, wantOverdue := int64(never), false
	for id, q := range m.live {
		if q.due <= m.now && !q.waiting {
			wantOverdue = true
			continue
		}
		if q.due <= m.now {
			m.finish(q, late[id])
			q.due = m.now + 10*testTimeout
			delete(late, id)
		}
		wantNext = min(wantNext, q.due)
	}
	if len(late) > 0 || next != wantNext || overdue != wantOverdue {
		m.t.Fatalf("%d too early; next %d, want %d; overdue %v, want %v", len(late), next, wantNext, overdue, wantOverdue)
	}
	if overdue {
		m.lose()
	}
}

func (m *model) lose() {
	lost := m.slab.clear()
	for _, q := range m.live {
		m.retire(q)
		if i := slices.Index(lost, Receiver(q.waiter)); i >= 0 {
			lost = slices.Delete(lost, i, i+1)
			m.finish(q, q.waiter)
		} else if q.waiting {
			m.t.Fatalf("%#x is not told that the lane is lost", q.id)
		}
	}
	if len(lost) > 0 {
		m.t.Fatalf("%d that did not wait are told", len(lost))
	}
}

func (m *model) freeSlots() int {
	n := 0
	for i := m.slab.head; i >= 0; i = m.slab.slots[i].next {
		n++
	}
	return n
}

func TestEveryCallerGetsOneOutcomeItsOwn(t *testing.T) {
	r := source(t)
	for range 300 {
		m := newModel(t, r)
		steps := []func(){m.send, m.send, m.send, m.reply, m.reply, m.cancel, m.leave, m.timeout}
		for range 400 {
			if r.IntN(100) == 0 {
				m.lose()
			} else {
				steps[r.IntN(len(steps))]()
			}
			if m.slab.inFlight != len(m.live) || m.freeSlots() != slots-len(m.live) {
				t.Fatalf("%d in flight, %d free; want %d of %d", m.slab.inFlight, m.freeSlots(), len(m.live), slots)
			}
		}
		m.lose()
		for _, q := range m.requests {
			if q.outcomes != 1 {
				t.Fatalf("%#x has %d outcomes", q.id, q.outcomes)
			}
		}
	}
}
