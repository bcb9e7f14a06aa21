package exact

import (
	"bytes"
	"slices"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Total sums up what an account booked with one counterparty.
type Total struct {
	Slot  uint32
	Count uint64
	// sums has the sum of credits and the sum of debits, as |amount|.
	sums [2]ledger.Int128
}

// Credits returns the sum of the credits.
func (t *Total) Credits() ledger.Int128 { return t.sums[0] }

// Debits returns the sum of the debits, as |amount|.
func (t *Total) Debits() ledger.Int128 { return t.sums[1] }

func (t *Total) size() ledger.Int128 { return t.sums[0].Add(t.sums[1]) }

// Top returns the counterparties with the largest sum of |amount|, largest first, and equal ones in the order of the
// bytes of their names. ids must be greater than the highest slot in the log.
func Top(log versions.Log, window Window, limit, ids int, name func(slot uint32) []byte) []Total {
	memory := pool.Get().(*scratch)
	t := newTally(memory, ids)
	for run := range log.Runs() {
		t.add(run, window)
	}
	t.end(memory)
	top := slices.Clone(largest(t.totals[1:], limit, name))
	pool.Put(memory)
	return top
}

// tally has a total for each counterparty, in any order. The first is for entries without a counterparty.
type tally struct {
	totals []Total
	// places says where each slot's total stands in totals, counted from 1. 0 means that there is none yet.
	places []uint32
}

func newTally(memory *scratch, ids int) *tally {
	t := &tally{append(memory.totals[:0], Total{Slot: rows.Nobody}), room(&memory.places, ids)}
	t.places[rows.Nobody] = 1
	return t
}

func (t *tally) add(run []rows.Entry, window Window) {
	totals, places := t.totals, t.places
	for i := range run {
		e := &run[i]
		if !window.takes(e) {
			continue
		}
		place := places[e.Counterparty]
		if place == 0 {
			totals = append(totals, Total{Slot: e.Counterparty})
			place = uint32(len(totals))
			places[e.Counterparty] = place
		}
		total := &totals[place-1]
		debit, size := rows.Split(e.Amount())
		total.Count++
		sum := &total.sums[debit&1]
		*sum = sum.AddInt64(size)
	}
	t.totals = totals
}

func (t *tally) end(memory *scratch) {
	for i := range t.totals {
		t.places[t.totals[i].Slot] = 0
	}
	memory.totals = t.totals
}

// largest returns up to limit totals, in the order that Top documents. It reorders totals.
func largest(totals []Total, limit int, name func(slot uint32) []byte) []Total {
	rank := ranking(name)
	if limit < len(totals) {
		// The front is a heap whose top is the last of its totals. Most other totals need only one comparison, with the
		// top.
		front := totals[:limit]
		for i := limit/2 - 1; i >= 0; i-- {
			sink(front, i, rank)
		}
		for i := limit; i < len(totals); i++ {
			if rank(&totals[i], &front[0]) < 0 {
				front[0] = totals[i]
				sink(front, 0, rank)
			}
		}
		totals = front
	}
	slices.SortFunc(totals, func(a, b Total) int { return rank(&a, &b) })
	return totals
}

// ranking returns the order that Top documents. Names differ, so no two totals are equal in it.
func ranking(name func(slot uint32) []byte) func(a, b *Total) int {
	return func(a, b *Total) int {
		if bySize := b.size().Cmp(a.size()); bySize != 0 {
			return bySize
		}
		return bytes.Compare(name(a.Slot), name(b.Slot))
	}
}

// sink restores the heap order below i.
func sink(heap []Total, i int, rank func(a, b *Total) int) {
	for {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if rank(&heap[child], &heap[last]) > 0 {
				last = child
			}
		}
		if last == i {
			return
		}
		heap[i], heap[last] = heap[last], heap[i]
		i = last
	}
}
