package versions

import (
	"hash/maphash"
	"math"
	"sync/atomic"
)

// Nobody is the slot of the empty name.
const Nobody uint32 = 0

// names gives every id a dense slot, in order of first appearance. One writer interns while readers look up without
// locks. Slots are shared by all versions: whether an id had entries at a position is for the version to say.
//
// Nothing in it is a pointer but the chunks, so the collector has nothing to follow.
type names struct {
	seed  maphash.Seed
	table atomic.Pointer[table]
	refs  column[nameRef]
	bytes arena
	count atomic.Uint32
}

// table is open addressing with linear probing, at most half full.
type table struct {
	mask  uint32
	cells []cell
}

// cell is empty while key is 0; ref is written before key and never changes.
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

// size is one more than the highest slot.
func (n *names) size() uint32 { return n.count.Load() }

// find gives Nobody for a name that was never interned.
func (n *names) find(name string) uint32 {
	slot, _ := n.table.Load().find(n, n.hash(name), name)
	return slot
}

// name must not be changed by the caller.
func (n *names) name(slot uint32) []byte { return n.bytes.get(*n.refs.at(slot)) }

func (n *names) hash(name string) uint32 { return uint32(maphash.String(n.seed, name) >> 32) }

// intern is the writer's.
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

// find gives the slot, or Nobody and the cell where the name belongs.
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

// put adds a name that is not there.
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

// nameRef, of a name that is not empty and, as all ids, of at most 64 bytes, says where in the arena a name is: chunk<<32 | offset<<16 | length.
type nameRef uint64

const arenaChunk = 1 << 16

// arena holds the bytes of names, which stay where they are.
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
