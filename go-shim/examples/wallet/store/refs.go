package store

import (
	"encoding/binary"
	"fmt"
)

// A ref addresses an entry: its transaction's position, then its index. 1,000 entries fit in ten bits, which leaves
// SQLite's signed integers room for 2^53 positions.
type ref uint64

const (
	indexBits = 10
	// maxRefs bounds a row of account_refs: a page of ListEntries must not decode much more than it shows.
	maxRefs = 256
)

func refOf(position uint64, index int) ref { return ref(position<<indexBits | uint64(index)) }

func (r ref) position() uint64 { return uint64(r >> indexBits) }
func (r ref) index() int       { return int(r & (1<<indexBits - 1)) }

// refList packs ascending refs: the first is the row's key, the others are differences.
type refList struct {
	first, last ref
	count       int
	packed      []byte
}

func (l *refList) add(r ref) {
	if l.count == 0 {
		l.first = r
	} else {
		l.packed = binary.AppendUvarint(l.packed, uint64(r-l.last))
	}
	l.last = r
	l.count++
}

func unpackRefs(first ref, packed []byte) ([]ref, error) {
	refs := append(make([]ref, 0, 1+len(packed)/2), first)
	for len(packed) > 0 {
		step, n := binary.Uvarint(packed)
		if n <= 0 {
			return nil, fmt.Errorf("%w: refs after %d", ErrCorrupt, first)
		}
		first += ref(step)
		refs = append(refs, first)
		packed = packed[n:]
	}
	return refs, nil
}
