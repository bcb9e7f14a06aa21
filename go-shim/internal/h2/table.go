package h2

// table is a dynamic table (RFC 7541, section 2.3.2). It allocates only while it grows:
//
//	ring   entries; the oldest is ring[first]
//	text   | evicted | strings of the oldest entry ... strings of the newest | free
//	       ^ place base
//
// A place counts all bytes that were ever written, modulo 2^32, so that entries need no change when text moves.
type table struct {
	ring  []entry
	first int
	count int
	text  []byte
	base  uint32
	used  uint32 // bytes of the entries, as the RFC counts them
	max   uint32 // what used may be
	last  uint32 // serial number of the newest entry
	// changes counts whatever may change the meaning of an index.
	changes uint64
}

// entry is one field. Its value is in text, behind its name if the kind doesn't tell that.
type entry struct {
	place    uint32
	nameLen  uint32
	valueLen uint32
	kind     kind
}

const (
	entryOverhead = 32 // as the RFC counts
	fewEntries    = 16
	littleText    = 256
)

func (e *entry) size() uint32 { return entryOverhead + e.nameLen + e.valueLen }

// at is the entry of an index, of which the newest is 0; it must be below count.
func (t *table) at(index int) *entry {
	i := t.first + t.count - 1 - index
	if i >= len(t.ring) {
		i -= len(t.ring)
	}
	return &t.ring[i]
}

// strings are the entry's name, nil if its kind tells it, and its value. They are valid until the table's next change.
func (t *table) strings(e *entry) (name, value []byte) {
	value = t.text[e.place-t.base:]
	if e.kind.stored() {
		name, value = value[:e.nameLen], value[e.nameLen:]
	}
	return name, value[:e.valueLen]
}

// insert adds a field whose name is told by its kind, or else is name. Neither string may be part of the table or longer
// than 2^30 bytes.
func (t *table) insert(k kind, name, value []byte) {
	if !k.stored() {
		name = nil
	}
	e := entry{kind: k, nameLen: uint32(max(len(name), len(k.name()))), valueLen: uint32(len(value))}
	t.last++
	t.changes++
	if e.size() > t.max { // the result is an empty table, and no error
		t.evict(t.count)
		return
	}
	t.evict(t.surplus(e.size()))
	t.room(len(name) + len(value))
	e.place = t.base + uint32(len(t.text))
	t.text = append(append(t.text, name...), value...)
	t.push(e)
}

// resize changes max.
func (t *table) resize(limit uint32) {
	t.max = limit
	t.changes++
	t.evict(t.surplus(0))
}

// surplus is how many entries must go for one of that size, which must not be over max.
func (t *table) surplus(size uint32) int {
	n := 0
	for left := uint64(t.used); left+uint64(size) > uint64(t.max); n++ {
		left -= uint64(t.at(t.count - 1 - n).size())
	}
	return n
}

func (t *table) evict(n int) {
	for ; n > 0; n-- {
		t.used -= t.ring[t.first].size()
		t.count--
		if t.first++; t.first == len(t.ring) {
			t.first = 0
		}
	}
}

func (t *table) push(e entry) {
	if t.count == len(t.ring) {
		// Half as much again, because an idle connection keeps it, and no more than there can be.
		ring := make([]entry, min(max(fewEntries, t.count+t.count/2), int(t.max/entryOverhead)))
		n := copy(ring, t.ring[t.first:])
		copy(ring[n:], t.ring[:t.first])
		t.ring, t.first = ring, 0
	}
	t.count++
	*t.at(0) = e
	t.used += e.size()
}

// room makes place in text for n bytes more.
func (t *table) room(n int) {
	if len(t.text)+n <= cap(t.text) {
		return
	}
	evicted := len(t.text)
	if t.count > 0 {
		evicted = int(t.ring[t.first].place - t.base)
	}
	live := t.text[evicted:]
	if len(live)+n <= cap(t.text)-cap(t.text)/4 {
		// At least a quarter is free then, so moving is seldom.
		t.text = t.text[:copy(t.text, live)]
	} else {
		t.text = append(make([]byte, 0, max(littleText, len(live)+n+(len(live)+n)/2)), live...)
	}
	t.base += uint32(evicted)
}
