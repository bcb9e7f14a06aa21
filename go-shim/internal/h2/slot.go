package h2

const (
	maxSlots = 8
	// slotBytes bounds what the slots of a connection keep.
	slotBytes = 8 << 10
)

// slot remembers fields that a client has sent, and how it wrote them.
type slot struct {
	head   Head
	tokens []token
	raw    []byte // the literals of tokens, one behind the other
	used   uint64
	again  bool // used more than once
	// block is a whole block that had these fields, and needs no look at the table while that is at changes.
	block   []byte
	changes uint64
}

func (s *slot) bytes() int { return len(s.head.block) + cap(s.raw) + cap(s.block) }

// learn remembers how the fields were written last. The sketch must be one.
func (s *slot) learn(how *sketch, block []byte) {
	s.tokens = append(s.tokens[:0], how.tokens[:how.n]...)
	s.raw, s.block = s.raw[:0], s.block[:0]
	for i, t := range s.tokens {
		s.raw = append(s.raw, block[how.starts[i]:][:t.literal]...)
	}
}

// keep remembers new fields, in place of those that were not used for longest if need be.
func (d *Decoder) keep(head Head, how *sketch, block []byte) {
	size := len(head.block) + len(block)
	if size > slotBytes/2 {
		return
	}
	var s *slot
	for len(d.slots) == maxSlots || d.slotsBytes()+size > slotBytes {
		s = d.forget()
	}
	if s == nil {
		s = &slot{}
	}
	s.head = head
	s.learn(how, block)
	d.uses++
	s.used = d.uses
	d.slots = append(d.slots, s)
}

// forget gives up the slot that is worth least.
func (d *Decoder) forget() *slot {
	least := 0
	for i, s := range d.slots {
		if s.worth() < d.slots[least].worth() {
			least = i
		}
	}
	s, last := d.slots[least], len(d.slots)-1
	d.slots[least], d.slots[last] = d.slots[last], nil
	d.slots = d.slots[:last]
	s.again = false
	return s
}

// worth is when the slot was used last. Fields that came again are worth a thousand blocks more: those that come once, say
// with the number of a request, must not drive them out.
func (s *slot) worth() uint64 {
	if s.again {
		return s.used + 1000
	}
	return s.used
}

func (d *Decoder) use(s *slot) {
	d.uses++
	s.used, s.again = d.uses, true
}

func (d *Decoder) slotsBytes() int {
	n := 0
	for _, s := range d.slots {
		n += s.bytes()
	}
	return n
}
