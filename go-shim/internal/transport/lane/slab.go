package lane

import "math"

// never is a time that never comes.
const never = math.MaxInt64

type state uint8

const (
	free state = iota
	// waiting: a caller waits for the reply.
	waiting
	// abandoned: the caller has left, and the reply is still to come. Until then the slot must not be used again.
	abandoned
)

// slot is one request that may be in flight:
//
//	         take                 answer
//	free ──────────> waiting ──────────────────────────> free
//	                    │ abandon: the caller left, or      ^
//	                    │          the request is cancelled │
//	                    │ lapse: its time is over           │
//	                    └─────────────> abandoned ──────────┘
//	                                               answer
//
// clear frees every slot, because the lane is lost.
type slot struct {
	// to is nil unless the slot is waiting. gone is closed when the caller leaves, and nil if only cancel says so.
	to   Receiver
	gone <-chan struct{}
	// due is when the caller stops waiting. For an abandoned request it is when a lane without the reply is given up.
	due        int64
	generation uint32
	// next is the free slot after this one, while this one is free.
	next  int32
	state state
}

// slab is the table of the requests in flight on a lane. It knows no clock and has no lock.
//
// An id names a slot and how often that slot was used, so no reply reaches a request that it does not belong to. Free
// slots are reused last in, first out, so that the slots in use stay few and close together.
type slab struct {
	slots []slot
	// head is the first free slot, or -1 if none is free.
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

// take gives a slot to a caller. At least one slot must be free.
func (s *slab) take(to Receiver, gone <-chan struct{}, due int64) (id uint64) {
	i := s.head
	at := &s.slots[i]
	s.head = at.next
	at.to, at.gone, at.due, at.state = to, gone, due, waiting
	s.inFlight++
	s.high = max(s.high, int(i)+1)
	return uint64(at.generation)<<32 | uint64(i)
}

// find returns the slot of an id, or nil if the id is not in flight.
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

// answer frees the slot of a request that got its reply. It returns the receiver, or nil if nobody waits any more. It is
// false if the id is not in flight.
func (s *slab) answer(id uint64) (Receiver, bool) {
	at := s.find(id)
	if at == nil {
		return nil, false
	}
	to := at.to
	s.release(int32(id&math.MaxUint32), at)
	return to, true
}

func (s *slab) release(i int32, at *slot) {
	at.generation++
	if at.generation == 0 {
		at.generation = 1
	}
	at.to, at.gone, at.state, at.next = nil, nil, free, s.head
	s.head = i
	s.inFlight--
}

// abandon is for a caller that leaves. It is false if the outcome is there or on its way; the caller then has to take
// it.
func (s *slab) abandon(id uint64, due int64) bool {
	at := s.find(id)
	if at == nil || at.state != waiting {
		return false
	}
	at.leave(due)
	return true
}

func (at *slot) leave(due int64) {
	at.to, at.gone, at.due, at.state = nil, nil, due, abandoned
}

// desert calls each with every request whose caller has left. It is true if there are other callers that may leave.
func (s *slab) desert(each func(id uint64, to Receiver)) (watched bool) {
	for i := range s.slots[:s.high] {
		at := &s.slots[i]
		if at.state != waiting || at.gone == nil {
			continue
		}
		select {
		case <-at.gone:
			each(uint64(at.generation)<<32|uint64(i), at.to)
		default:
			watched = true
		}
	}
	return watched
}

// lapse abandons requests whose time is over, and calls each with them. It returns when to look again, and whether a
// request that was abandoned earlier is overdue.
func (s *slab) lapse(now, grace int64, each func(id uint64, to Receiver)) (next int64, overdue bool) {
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
			to := at.to
			at.leave(now + grace)
			each(uint64(at.generation)<<32|uint64(i), to)
		}
		next = min(next, at.due)
	}
	return next, overdue
}

// clear frees every slot, because the lane is lost, and returns the receivers that waited.
func (s *slab) clear() []Receiver {
	var lost []Receiver
	for i := range s.slots[:s.high] {
		at := &s.slots[i]
		if at.state == free {
			continue
		}
		if at.to != nil {
			lost = append(lost, at.to)
		}
		s.release(int32(i), at)
	}
	return lost
}
