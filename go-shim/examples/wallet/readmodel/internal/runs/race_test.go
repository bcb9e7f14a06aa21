package runs

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// TestReadersSeeWhatWasAnnouncedWhileRunsAreMerged appends the amounts 1, 2, 3, … to two logs, so that the sum of each
// view is known. Readers must find exactly the entries that were announced to them, or those of a position before.
func TestReadersSeeWhatWasAnnouncedWhileRunsAreMerged(t *testing.T) {
	const count = 60_000
	store := NewStore(Shape{Tail: 32, Indexed: 64, Inline: 256})
	var logs [2]Log
	books := [2]*book{{store: store}, {store: store}}
	var announced atomic.Uint64
	var readers sync.WaitGroup
	for reader := range uint64(3) {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(reader, 5))
			for known := announced.Load(); known < count; known = announced.Load() {
				if known == 0 {
					continue
				}
				position := known
				if random.IntN(3) == 0 {
					position = 1 + random.Uint64N(known)
				}
				all := logs[random.IntN(2)].View(known, position).All()
				want := ledger.Int128Of(int64(position * (position + 1) / 2))
				if all.Posted.Credits != want || all.Entries != position {
					t.Errorf("%d of %d: %d entries, %v", position, known, all.Entries, all.Posted.Credits.Big())
					return
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(6, 6))
	for position := uint64(1); position <= count; position++ {
		for i := range logs {
			f := someFact(random, times["late"], int(position), position)
			f.amount, f.phase = int64(position), walletv1.Phase_PHASE_POSTED
			store.Append(&logs[i], position-1, position, entryOf(f))
			books[i].facts = append(books[i].facts, f)
		}
		announced.Store(position)
	}
	readers.Wait()
	store.Settle()
	for i := range logs {
		v := logs[i].View(count, count)
		if !alike(shown(t, v), books[i].facts, true) {
			t.Error("entries are lost")
		}
		if whole, torn := v.Posted(); torn != nil || len(whole) > 30 {
			t.Errorf("%d runs are left", len(whole))
		}
	}
}
