package versions

import (
	"hash/maphash"
	"math"
	"sync/atomic"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Nobody is the slot of the empty name, which stands for no counterparty.
const Nobody = rows.Nobody

// names gives every id a slot: a number, dense and in order of first appearance. One writer interns ids while readers
// look them up without locks. All versions share the slots, so a slot may belong to an id that an older version does
// not have.
//
// Only the chunks are pointers, so the garbage collector has almost nothing to follow.
type names struct {
	seed  maphash.Seed
	table atomic.Pointer[table]
	refs  column[nameRef]
	bytes arena
	count atomic.Uint32
}

// table is a hash table with open addressing and linear probing, at most half full.
type table struct {
	mask  uint32
	cells []cell
}

// cell is empty while key is 0. ref is written before key and then never changes.
type cell struct {
	key atomic.Uint64 // hash<<32 | slot
	ref nameRef
}

const firstTable = 1 << 10

func newNames() *names {
	n := &names{seed: maphash.MakeSeed()}
	n.table.Store(&table{firstTable - 1, make([]cell, firstTable)})
	n.refs.reserve(Nobody)
	n.count.Store(Nobody + 1)
	return n
}

// size returns one more than the highest slot.
func (n *names) size() uint32 { return n.count.Load() }

// find returns the slot of a name, or Nobody if the name was never interned.
func (n *names) find(name string) uint32 {
	slot, _ := n.table.Load().find(n, n.hash(name), name)
	return slot
}

// name returns the name of a slot. The caller must not change it.
func (n *names) name(slot uint32) []byte { return n.bytes.get(*n.refs.at(slot)) }

func (n *names) hash(name string) uint32 { return uint32(maphash.String(n.seed, name) >> 32) }

// intern returns the slot of a name, and gives it one if it has none. Only the writer may call it.
func (n *names) intern(name string) uint32 {
	if name == "" {
		return Nobody
	}
	hash := n.hash(name)
	t := n.table.Load()
	slot, free := t.find(n, hash, name)
	if slot != Nobody {
		return slot
	}
	slot = n.count.Load()
	if slot == math.MaxUint32 {
		panic("readmodel: more than 2^32 ids")
	}
	ref := n.bytes.add(name)
	n.refs.reserve(slot)
	*n.refs.at(slot) = ref
	n.count.Store(slot + 1)
	if 2*uint64(slot) > uint64(len(t.cells)) {
		t = t.doubled()
		t.put(hash, slot, ref)
		n.table.Store(t)
		return slot
	}
	t.cells[free].set(hash, slot, ref)
	return slot
}

// find returns the slot of a name, or Nobody and the index of the free cell for the name.
func (t *table) find(n *names, hash uint32, name string) (slot, free uint32) {
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		c := &t.cells[i]
		key := c.key.Load()
		if key == 0 {
			return Nobody, i
		}
		if uint32(key>>32) == hash && string(n.bytes.get(c.ref)) == name {
			return uint32(key), 0
		}
	}
}

func (t *table) doubled() *table {
	size := 2 * len(t.cells)
	larger := &table{uint32(size - 1), make([]cell, size)}
	for i := range t.cells {
		if key := t.cells[i].key.Load(); key != 0 {
			larger.put(uint32(key>>32), uint32(key), t.cells[i].ref)
		}
	}
	return larger
}

// put adds a name that the table does not have.
func (t *table) put(hash, slot uint32, ref nameRef) {
	i := hash & t.mask
	for t.cells[i].key.Load() != 0 {
		i = (i + 1) & t.mask
	}
	t.cells[i].set(hash, slot, ref)
}

func (c *cell) set(hash, slot uint32, ref nameRef) {
	c.ref = ref
	c.key.Store(uint64(hash)<<32 | uint64(slot))
}

// nameRef says where in the arena a name is: chunk<<32 | offset<<16 | length. All ids have 1-64 bytes, so no name has
// the nameRef 0.
type nameRef uint64

const arenaChunk = 1 << 16

// arena holds the bytes of names, which never move.
type arena struct {
	chunks atomic.Pointer[[][]byte]
	used   int
}

func (a *arena) add(name string) nameRef {
	held := a.chunks.Load()
	if held == nil || a.used+len(name) > arenaChunk {
		held = a.grow(held)
	}
	last := len(*held) - 1
	ref := nameRef(last)<<32 | nameRef(a.used)<<16 | nameRef(len(name))
	a.used += copy((*held)[last][a.used:], name)
	return ref
}

func (a *arena) grow(held *[][]byte) *[][]byte {
	var chunks [][]byte
	if held != nil {
		chunks = *held
	}
	chunks = append(chunks, make([]byte, arenaChunk))
	a.used = 0
	a.chunks.Store(&chunks)
	return &chunks
}

func (a *arena) get(ref nameRef) []byte {
	if ref == 0 {
		return nil
	}
	start, size := int(ref>>16&0xffff), int(ref&0xffff)
	return (*a.chunks.Load())[ref>>32][start : start+size]
}
