package versions

import "hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"

// The standings of all holdings are in a tree of fixed height, indexed by the holding's slot:
//
//	tree (the root) ──> bough ──> twig ──> leaf: 4 standings
//
// A version shares its nodes with the version before it. It has copies of only the nodes on the paths to the standings
// that its transaction changed. Leaves have no pointers.
const (
	leafBits   = 2
	fanOutBits = 5
	twigShift  = leafBits
	boughShift = twigShift + fanOutBits
	rootShift  = boughShift + fanOutBits
	fanOut     = 1 << fanOutBits
)

// Each node has the position of the version that made it. Until that version is published, its writer may change the
// node in place.
type (
	bough struct {
		madeAt uint64
		twigs  [fanOut]*twig
	}
	twig struct {
		madeAt uint64
		leaves [fanOut]*leaf
	}
	leaf struct {
		madeAt    uint64
		standings [1 << leafBits]rows.Standing
	}
)

// tree is the root. Each version has its own root and may replace the elements. Published nodes below it are immutable.
type tree []*bough

// get returns the standing of a slot. own must have been called for the slot.
func (t tree) get(slot uint32) *rows.Standing {
	l := t[slot>>rootShift].twigs[slot>>boughShift%fanOut].leaves[slot>>twigShift%fanOut]
	return &l.standings[slot%(1<<leafBits)]
}

// own returns the standing of a slot, to change. It copies the nodes on the path to the slot, unless the version at
// this position made them itself.
func (t *tree) own(slot uint32, position uint64) *rows.Standing {
	for int(slot>>rootShift) >= len(*t) {
		*t = append(*t, &bough{madeAt: position})
	}
	b := (*t)[slot>>rootShift]
	if b.madeAt != position {
		mine := *b
		mine.madeAt = position
		b = &mine
		(*t)[slot>>rootShift] = b
	}
	w := b.own(slot, position)
	l := w.own(slot, position)
	return &l.standings[slot%(1<<leafBits)]
}

func (b *bough) own(slot uint32, position uint64) *twig {
	place := &b.twigs[slot>>boughShift%fanOut]
	if old := *place; old == nil || old.madeAt != position {
		mine := new(twig)
		if old != nil {
			*mine = *old
		}
		mine.madeAt = position
		*place = mine
	}
	return *place
}

func (w *twig) own(slot uint32, position uint64) *leaf {
	place := &w.leaves[slot>>twigShift%fanOut]
	if old := *place; old == nil || old.madeAt != position {
		mine := new(leaf)
		if old != nil {
			*mine = *old
		}
		mine.madeAt = position
		*place = mine
	}
	return *place
}
