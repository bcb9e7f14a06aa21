package h2

const (
	maxSlots = 8
	// slotBytes bounds what the slots of a connection keep.
	slotBytes = 8 << 10
	maxTokens = 24
	maxSerial = 1 << 30
)

// token is how a client wrote one field of a block. Two blocks of equal tokens, and of equal bytes where these are
// literals, have the same fields, whatever happened to the table in between.
type token struct {
	// id is the index of a static entry; staticLen and the serial number of a dynamic one; or timeoutToken. If the value
	// is a literal, literalToken is added, and the id is that of the name, or 0 if that is a literal too.
	id uint32
	// literal is the number of bytes that follow the index.
	literal uint32
}

const (
	literalToken = 1 << 31
	timeoutToken = literalToken - 1
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

// learn remembers how the fields were written last.
func (s *slot) learn(tokens []token, raw []byte) {
	s.tokens = append(s.tokens[:0], tokens...)
	s.raw = append(s.raw[:0], raw...)
	s.block = s.block[:0]
}

// keep remembers new fields, in place of those that were not used for longest if need be.
func (d *Decoder) keep(head Head, tokens []token, raw []byte) {
	size := len(head.block) + 2*len(raw)
	if size > slotBytes/2 {
		return
	}
	s := &slot{}
	for len(d.slots) == maxSlots || d.slotsBytes()+size > slotBytes {
		s = d.forget()
	}
	s.head = head
	s.learn(tokens, raw)
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
