package versions

// The standings of all holdings, by slot, as a tree of fixed height. A version shares with the one before it all nodes
// but those on the way to what its transaction changed. Leaves have no pointers.
const (
	leafBits   = 2
	fanOutBits = 5
	twigShift  = leafBits
	boughShift = twigShift + fanOutBits
	rootShift  = boughShift + fanOutBits
	fanOut     = 1 << fanOutBits
)

// Each node knows the position whose transaction made it: until that is published, it may be changed in place.
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
		standings [1 << leafBits]Standing
	}
)

// tree is the root. Its owner may replace elements, the nodes beneath are immutable once published.
type tree []*bough

// get needs a slot that own was called for.
func (t tree) get(slot uint32) *Standing {
	l := t[slot>>rootShift].twigs[slot>>boughShift%fanOut].leaves[slot>>twigShift%fanOut]
	return &l.standings[slot%(1<<leafBits)]
}

// own makes the way to a slot the version's own, and the standing there safe to change.
func (t *tree) own(slot uint32, position uint64) *Standing {
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
