// Package runs keeps the entries of one (account, asset) so that statistics need not scan them.
//
// New entries go to the tail, in booking order. A full tail is sorted by time into runs, one for each phase. Runs that
// follow each other and are of about the same size are merged (the logarithmic method of Bentley and Saxe, 1980), so
// there are few. Entries that arrive late need no special case: they are in a newer run.
//
//	Log.newest ──> history ──> tail: up to Shape.Tail entries       (shared; the writer appends to it)
//	                  └──> long ──> per phase: run, run, run        (in booking order; each immutable, sorted by time)
//	                         └──> Dictionary: code <-> slot         (shared, only grows)
//
// A window is one slice of each run, found by binary search. What a run knows of its slices: columns, marks (sums of
// all entries before each block) and, if it is long, an index. The index has the least and the most amount by blocks, a
// wavelet matrix of |amount|, sets of counterparties by blocks, and totals by counterparty at some places.
//
// Readers take a history by one atomic load, and never lock. Small merges are done by the writer while it books. Large
// ones are done by one goroutine per store; it replaces the history if that has not changed meanwhile, else it tries
// again with the newer one. A reader at an older position may therefore meet runs and entries that are newer than its
// position. Whole runs of them are left out; of a run that has some, the slice is scanned.
package runs

import (
	"math"
	"unsafe"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Run holds entries of one phase that were booked one after the other, sorted by time; those of equal times in booking
// order. It never changes.
type Run struct {
	phase       walletv1.Phase
	count       int
	firstUS     int64
	lastUS      int64
	first, last uint64 // the lowest and the highest position
	// highest is the highest code of a counterparty.
	highest uint32

	times, amounts, positions packed.Column
	// codes has the counterparties. Only runs of posted entries have it.
	codes packed.Column
	// marks[i] sums up all entries before block i. The last mark sums up all entries.
	marks []Sums
	// index is nil in short runs and in runs of holds and releases.
	index *index
}

// mostEntries bounds the length of a run, for sums of squares. A merge that would be longer is not done.
const mostEntries = 1 << 27

// These constants fail to compile if the sums of a block do not fit 64 bits or the squares of a run do not fit 128 bits.
const (
	_ = uint64(math.MaxInt64/2 - packed.Block*ledger.MaxAmount)
	_ = uint64(1<<127/(ledger.MaxAmount*ledger.MaxAmount) - mostEntries)
)

// Count returns the number of entries.
func (r *Run) Count() int { return r.count }

// Indexed returns whether the run has an index, so that Extremes, Numbers and the like may be called.
func (r *Run) Indexed() bool { return r.index != nil }

// Time returns the time of an entry.
func (r *Run) Time(i int) int64 { return r.times.At(i) }

// Search returns the index of the first entry that did not occur before an instant.
func (r *Run) Search(us int64) int {
	switch {
	case us <= r.firstUS:
		return 0
	case us > r.lastUS:
		return r.count
	}
	return r.times.Search(0, r.count, us)
}

// SearchFrom is Search if all entries before index from are known to have occurred before the instant.
func (r *Run) SearchFrom(from int, us int64) int {
	if us > r.lastUS {
		return r.count
	}
	return r.times.Search(from, r.count, us)
}

// Total returns the sum of |amount| of all entries.
func (r *Run) Total() ledger.Int128 {
	all := &r.marks[len(r.marks)-1].Sides
	return all.Credits.Add(all.Debits)
}

func (r *Run) posted() bool { return r.phase == walletv1.Phase_PHASE_POSTED }

// blocks returns the number of blocks.
func (r *Run) blocks() int { return len(r.marks) - 1 }

// Bytes returns the memory that the run takes.
func (r *Run) Bytes() int {
	bytes := int(unsafe.Sizeof(*r)) + cap(r.marks)*int(unsafe.Sizeof(Sums{}))
	for _, column := range []*packed.Column{&r.times, &r.amounts, &r.positions, &r.codes} {
		bytes += column.Bytes()
	}
	if r.index != nil {
		bytes += r.index.bytes()
	}
	return bytes
}

// Append appends the entries [from, to), without those booked after a position.
func (r *Run) Append(from, to int, position uint64, appendTo []rows.Entry) []rows.Entry {
	var times, amounts, codes, positions [packed.Block]int64
	for from < to {
		end := min(to, from|(packed.Block-1)+1)
		us, amount := r.times.Read(from, end, &times), r.amounts.Read(from, end, &amounts)
		code := codes[:end-from]
		if r.posted() {
			code = r.codes.Read(from, end, &codes)
		}
		if r.last <= position {
			for i := range us {
				appendTo = append(appendTo, rows.New(us[i], amount[i], r.phase, uint32(code[i])))
			}
		} else {
			booked := r.positions.Read(from, end, &positions)
			for i := range us {
				if uint64(booked[i]) <= position {
					appendTo = append(appendTo, rows.New(us[i], amount[i], r.phase, uint32(code[i])))
				}
			}
		}
		from = end
	}
	return appendTo
}
