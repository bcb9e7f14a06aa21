package store

import (
	"encoding/binary"
	"fmt"
)

// ref addresses an entry: its transaction's position in the upper bits, its index in the lower ten. An index is below
// 1,000, so it fits in ten bits. That leaves 2^53 positions in SQLite's signed integers.
type ref uint64

const (
	indexBits = 10
	// maxRefs bounds the refs in a row of account_refs, so that a page of ListEntries decodes few refs that it does not
	// use.
	maxRefs = 256
)

func refOf(position uint64, index int) ref { return ref(position<<indexBits | uint64(index)) }

func (r ref) position() uint64 { return uint64(r >> indexBits) }
func (r ref) index() int       { return int(r & (1<<indexBits - 1)) }

// refList packs ascending refs. The first is part of the row's key; packed has the differences of the others.
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
