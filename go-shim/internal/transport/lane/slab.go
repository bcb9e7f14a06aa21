package lane

import "math"

// never is a time that does not come.
const never = math.MaxInt64

type state uint8

const (
	free state = iota
	// waiting: a caller waits for the reply.
	waiting
	// abandoned: the caller is gone, the reply is yet to come; until then the slot must not be used again.
	abandoned
)

// slot is one request that may be in flight.
type slot struct {
	// waiter is nil unless the slot is waiting.
	waiter *waiter
	// due is when the caller stops waiting, or when a lane that has not replied to an abandoned request is given up.
	due        int64
	generation uint32
	// next is the free slot after this one, while it is free.
	next  int32
	state state
}

// slab is the table of what is in flight on a lane. It knows no clock and has no lock.
//
// An id names a slot and how often that was used, so that no reply reaches a request that it is not of. Free slots are
// used again last in, first out: those at work stay few and near.
type slab struct {
	slots []slot
	// head is the first free slot; -1 if none is.
	head     int32
	inFlight int
	// high is above every slot that was ever used.
	high int
}

func newSlab(size int) slab {
	s := slab{slots: make([]slot, size), head: 0}
	for i := range s.slots {
		s.slots[i] = slot{generation: 1, next: int32(i) + 1}
	}
	s.slots[size-1].next = -1
	return s
}

func (s *slab) full() bool { return s.head < 0 }

// take gives a slot, which must not all be in use, to a caller.
func (s *slab) take(w *waiter, due int64) (id uint64) {
	i := s.head
	at := &s.slots[i]
	s.head = at.next
	at.waiter, at.due, at.state = w, due, waiting
	s.inFlight++
	s.high = max(s.high, int(i)+1)
	return uint64(at.generation)<<32 | uint64(i)
}

// find is nil if the id is not in flight.
func (s *slab) find(id uint64) *slot {
	i := id & math.MaxUint32
	if i >= uint64(s.high) {
		return nil
	}
	at := &s.slots[i]
	if at.state == free || uint64(at.generation) != id>>32 {
		return nil
	}
	return at
}

// answer frees the slot of a request that was replied to. It returns who waits, nil if nobody does any more; false if
// the id is not in flight.
func (s *slab) answer(id uint64) (*waiter, bool) {
	at := s.find(id)
	if at == nil {
		return nil, false
	}
	w := at.waiter
	s.release(int32(id&math.MaxUint32), at)
	return w, true
}

func (s *slab) release(i int32, at *slot) {
	at.generation++
	if at.generation == 0 {
		at.generation = 1
	}
	at.waiter, at.state, at.next = nil, free, s.head
	s.head = i
	s.inFlight--
}

// abandon is for a caller that goes away. It is false if its outcome is there or on its way: then that is to be taken.
func (s *slab) abandon(id uint64, due int64) bool {
	at := s.find(id)
	if at == nil || at.state != waiting {
		return false
	}
	at.waiter, at.due, at.state = nil, due, abandoned
	return true
}

// desert tells each request whose caller is gone, and whether there are others whose caller may go.
func (s *slab) desert(each func(id uint64, w *waiter)) (watched bool) {
	for i := range s.slots[:s.high] {
		at := &s.slots[i]
		if at.state != waiting || at.waiter.gone == nil {
			continue
		}
		select {
		case <-at.waiter.gone:
			each(uint64(at.generation)<<32|uint64(i), at.waiter)
		default:
			watched = true
		}
	}
	return watched
}

// lapse abandons what is past its time. It calls each with what it abandoned, and says when to look again, and whether
// a request that was abandoned before is overdue.
func (s *slab) lapse(now, grace int64, each func(id uint64, w *waiter)) (next int64, overdue bool) {
	next = never
	for i := range s.slots[:s.high] {
		at := &s.slots[i]
		if at.state == free {
			continue
		}
		if at.due <= now {
			if at.state == abandoned {
				overdue = true
				continue
			}
			w := at.waiter
			at.waiter, at.due, at.state = nil, now+grace, abandoned
			each(uint64(at.generation)<<32|uint64(i), w)
		}
		next = min(next, at.due)
	}
	return next, overdue
}

// clear frees every slot, as the lane is lost, and returns who waited.
func (s *slab) clear() []*waiter {
	var lost []*waiter
	for i := range s.slots[:s.high] {
		at := &s.slots[i]
		if at.state == free {
			continue
		}
		if at.waiter != nil {
			lost = append(lost, at.waiter)
		}
		s.release(int32(i), at)
	}
	return lost
}
