package splice

import "math/bits"

const (
	// fewSlots is the size that an idle table may keep: 2 KiB.
	fewSlots    = 128
	slotClasses = 32
)

// table finds streams by their ids. It is a hash table with linear probing. A Go map would do, but allocates now and then
// under a load of short-lived entries.
type table struct {
	slots []slot
	n     int
	pools *pools
}

// slot is free if stream is nil.
type slot struct {
	id     uint32
	stream *stream
}

// home is where the search for an id begins. Clients choose ids, so it depends on a secret: nobody can choose ids that meet.
func (t *table) home(id uint32) uint32 {
	h := (id ^ t.pools.secret) * 0x85ebca6b
	h = (h ^ h>>15) * 0xc2b2ae35
	return (h ^ h>>16) & uint32(len(t.slots)-1)
}

func (t *table) get(id uint32) *stream {
	if t.n == 0 {
		return nil
	}
	mask := uint32(len(t.slots) - 1)
	for i := t.home(id); ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.stream == nil {
			return nil
		}
		if s.id == id {
			return s.stream
		}
	}
}

// put adds an id that is not there yet.
func (t *table) put(id uint32, s *stream) {
	if 2*(t.n+1) > len(t.slots) {
		t.grow()
	}
	t.n++
	t.insert(id, s)
}

func (t *table) insert(id uint32, s *stream) {
	mask := uint32(len(t.slots) - 1)
	i := t.home(id)
	for t.slots[i].stream != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{id, s}
}

func (t *table) grow() {
	old := t.slots
	size := max(16, 2*len(old))
	if kept, ok := t.pools.slots[bits.Len(uint(size))].Get().(*[]slot); ok {
		t.slots = *kept
	} else {
		t.slots = make([]slot, size)
	}
	for _, s := range old {
		if s.stream != nil {
			t.insert(s.id, s.stream)
		}
	}
	clear(old)
	t.discard(old)
}

// discard keeps empty slots for other connections.
func (t *table) discard(slots []slot) {
	if len(slots) >= fewSlots {
		t.pools.slots[bits.Len(uint(len(slots)))].Put(&slots)
	}
}

func (t *table) remove(id uint32) {
	if t.n == 0 {
		return
	}
	mask := uint32(len(t.slots) - 1)
	i := t.home(id)
	for t.slots[i].id != id || t.slots[i].stream == nil {
		if t.slots[i].stream == nil {
			return
		}
		i = (i + 1) & mask
	}
	t.n--
	// Those behind the gap move up, unless that would put them before the slot at which the search for them begins.
	for j := (i + 1) & mask; t.slots[j].stream != nil; j = (j + 1) & mask {
		if home := t.home(t.slots[j].id); (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	if t.n == 0 && len(t.slots) > fewSlots {
		t.discard(t.slots)
		t.slots = nil
	}
}

// each calls fn for all streams; fn may not add or remove any.
func (t *table) each(fn func(*stream)) {
	for _, s := range t.slots {
		if s.stream != nil {
			fn(s.stream)
		}
	}
}
