package runs

import (
	"sync/atomic"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Dictionary gives the counterparties of one history codes: numbers that are dense, in order of first appearance. They
// take fewer bits than slots, and tables by code are short. One writer adds codes while readers use earlier ones.
type Dictionary struct {
	// slots has the slot of each code. It is longer than count, which is one more than the highest code.
	slots atomic.Pointer[[]uint32]
	count atomic.Uint32
	// cells is a hash table with open addressing, of slot<<32 | code; free cells are 0. Only the writer uses it.
	cells []uint64
}

const firstCells = 16

func newDictionary() *Dictionary {
	d := &Dictionary{cells: make([]uint64, firstCells)}
	first := make([]uint32, firstCells/2) // code 0 is Nobody's
	d.slots.Store(&first)
	d.count.Store(rows.Nobody + 1)
	return d
}

// Size returns one more than the highest code.
func (d *Dictionary) Size() int { return int(d.count.Load()) }

// Slot returns the slot of a code.
func (d *Dictionary) Slot(code uint32) uint32 { return (*d.slots.Load())[code] }

// bytes returns the memory that the dictionary takes.
func (d *Dictionary) bytes() int { return 8*len(d.cells) + 4*len(*d.slots.Load()) }

// codeOf returns the code of an entry's counterparty, of which it has the slot. Nothing asks for those of holds and
// releases, so these have Nobody's.
func (d *Dictionary) codeOf(e *rows.Entry) uint32 {
	if !e.IsPosted() {
		return rows.Nobody
	}
	return d.code(e.Counterparty)
}

// code returns the code of a slot, and gives it one if it has none. Only the writer may call it.
func (d *Dictionary) code(slot uint32) uint32 {
	if slot == rows.Nobody {
		return rows.Nobody
	}
	free := d.find(slot)
	if cell := d.cells[free]; cell != 0 {
		return uint32(cell)
	}
	code := d.count.Load()
	if 4*(int(code)+1) > 3*len(d.cells) {
		d.grow()
		free = d.find(slot)
	}
	d.cells[free] = uint64(slot)<<32 | uint64(code)
	slots := *d.slots.Load()
	if int(code) == len(slots) {
		longer := make([]uint32, len(slots)+len(slots)/2)
		copy(longer, slots)
		slots = longer
		d.slots.Store(&longer)
	}
	slots[code] = slot
	d.count.Store(code + 1)
	return code
}

// find returns the index of the slot's cell, or of a free cell for it.
func (d *Dictionary) find(slot uint32) int {
	mask := len(d.cells) - 1
	for i := int(slot*0x9e3779b1>>7) & mask; ; i = (i + 1) & mask {
		if cell := d.cells[i]; cell == 0 || uint32(cell>>32) == slot {
			return i
		}
	}
}

func (d *Dictionary) grow() {
	old := d.cells
	d.cells = make([]uint64, 2*len(old))
	for _, cell := range old {
		if cell != 0 {
			d.cells[d.find(uint32(cell>>32))] = cell
		}
	}
}
