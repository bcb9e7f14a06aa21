package versions

import (
	"iter"
	"math"
	"sort"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// BlockSize is the largest number of contiguous entries. It bounds how many are copied when a log outgrows its memory.
// With 24 bytes an entry, every smaller power of two is a size class of Go's allocator.
const BlockSize = 1 << 10

// firstOfMany is the capacity that the second and later blocks of a log start with.
const firstOfMany = 1 << 6

// block is a contiguous part of a log.
type block struct {
	// start is the number of entries in the blocks before.
	start uint64
	// base is the position of the first entry.
	base    uint64
	entries []rows.Entry
}

// blocks holds all entries of a log. The tail has spare capacity, which the writer fills. Each reader has the count of
// entries that it may read.
type blocks struct {
	sealed []block
	tail   block
}

// Log holds the first count entries of one (account, asset), in booking order.
type Log struct {
	blocks *blocks
	count  uint64
}

// Len returns the number of entries.
func (l Log) Len() int { return int(l.count) }

// Runs yields the entries, in contiguous runs of at most BlockSize.
func (l Log) Runs() iter.Seq[[]rows.Entry] {
	return func(yield func([]rows.Entry) bool) {
		if l.blocks == nil {
			return
		}
		for i := range l.blocks.sealed {
			b := &l.blocks.sealed[i]
			if b.start >= l.count || !yield(b.first(l.count)) {
				return
			}
		}
		if b := &l.blocks.tail; b.start < l.count {
			yield(b.first(l.count))
		}
	}
}

// first returns the part of the block that belongs to the first count entries of the log. The block must have such
// entries.
func (b *block) first(count uint64) []rows.Entry {
	return b.entries[:min(uint64(len(b.entries)), count-b.start)]
}

// until returns the log as it was at a position.
func (l Log) until(position uint64) Log {
	if l.count == 0 {
		return l
	}
	b := &l.blocks.tail
	if b.start >= l.count || b.base > position {
		sealed := l.blocks.sealed
		after := sort.Search(len(sealed), func(i int) bool { return sealed[i].start >= l.count || sealed[i].base > position })
		if after == 0 {
			return Log{}
		}
		b = &sealed[after-1]
	}
	held := b.first(l.count)
	within := sort.Search(len(held), func(i int) bool { return b.base+uint64(held[i].Since) > position })
	return Log{l.blocks, b.start + uint64(within)}
}

// add puts an entry behind the first count entries and returns the new blocks of the log, which may be old itself. It
// does not change entries that readers of old may see. Only the writer may call it.
func (old *blocks) add(count, position uint64, e rows.Entry) *blocks {
	b := old
	switch {
	case old == nil:
		b = &blocks{tail: block{base: position, entries: make([]rows.Entry, 1)}}
	case count-old.tail.start == BlockSize || position-old.tail.base > math.MaxUint32:
		full := old.tail
		full.entries = full.first(count)
		b = &blocks{
			sealed: append(old.sealed, full),
			tail:   block{start: count, base: position, entries: make([]rows.Entry, firstOfMany)},
		}
	case count-old.tail.start == uint64(len(old.tail.entries)):
		larger := make([]rows.Entry, 2*len(old.tail.entries))
		copy(larger, old.tail.entries)
		b = &blocks{old.sealed, block{old.tail.start, old.tail.base, larger}}
	}
	e.Since = uint32(position - b.tail.base)
	b.tail.entries[count-b.tail.start] = e
	return b
}
