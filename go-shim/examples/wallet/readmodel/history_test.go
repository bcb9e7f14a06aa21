package readmodel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	longAccount = "long"
	// longSpanUS is the ten years that a long history covers, whatever its length.
	longSpanUS  = 3652 * indexDayUS
	longStartUS = 1_262_304_000_000_000 // 2010-01-01
)

// longHistory makes the transactions of one account. It is skewed like real ones: most entries are of few of its
// counterparties, each number of digits of an amount is equally likely, and one in fifty entries arrives late.
type longHistory struct {
	random                  *rand.Rand
	entries, counterparties int
}

func (h *longHistory) next(position uint64) *walletv1.Transaction {
	us := longStartUS + int64(position)*(longSpanUS/int64(h.entries)) + h.random.Int64N(longSpanUS/int64(h.entries)+1)
	if h.random.IntN(50) == 0 {
		us -= h.random.Int64N(90 * indexDayUS)
	}
	amount := 1 + h.random.Int64N(1<<(7+h.random.IntN(24)))
	if h.random.IntN(10) > 0 {
		amount = -amount
	}
	rank := h.random.IntN(1 + h.random.IntN(1+h.random.IntN(h.counterparties)))
	return &walletv1.Transaction{Position: position, OccurredAtUs: us, Entries: []*walletv1.Entry{{
		AccountId: longAccount, Asset: benchAsset, Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: fmt.Sprint("c", rank),
	}}}
}

func newLongHistory(entries int) *longHistory {
	return &longHistory{random: rand.New(rand.NewPCG(1, 1)), entries: entries, counterparties: min(41_316, 1+entries/20)}
}

// makeLong returns a model of a history of so many entries. All merges are done.
func makeLong(tb testing.TB, name string, entries int) ReadModel {
	tb.Helper()
	m := newModel(tb, name)
	history := newLongHistory(entries)
	for p := range uint64(entries) {
		m.Apply(history.next(p + 1))
	}
	settle(m)
	return m
}

func settle(m ReadModel) {
	if best, ok := m.(*Best); ok {
		best.ledger.Settle()
	}
}

// BenchmarkApplyLong books a history of 200,000 entries, merges included, and reports the bytes of an entry.
func BenchmarkApplyLong(b *testing.B) {
	const entries = 200_000
	for _, name := range Names() {
		b.Run("model="+name, func(b *testing.B) {
			before := heapInUse()
			var m ReadModel
			made := make([]*walletv1.Transaction, decodedAtOnce)
			for b.Loop() {
				m = newModel(b, name)
				history := newLongHistory(entries)
				for position := uint64(1); position <= entries; {
					b.StopTimer()
					made = made[:0]
					for ; len(made) < decodedAtOnce && position <= entries; position++ {
						made = append(made, history.next(position))
					}
					b.StartTimer()
					for _, tx := range made {
						m.Apply(tx)
					}
				}
				settle(m)
			}
			clear(made)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
			b.ReportMetric(float64(heapInUse()-before)/entries, "B/entry")
			runtime.KeepAlive(m)
		})
	}
}

// TestAnEntryOfALongHistoryTakesFewBytes measures the whole heap, so all names, columns, indexes and versions count.
func TestAnEntryOfALongHistoryTakesFewBytes(t *testing.T) {
	const entries, most = 200_000, 40
	before := heapInUse()
	m := makeLong(t, NameBest, entries)
	bytes := float64(heapInUse()-before) / entries
	runtime.KeepAlive(m)
	t.Logf("%.1f bytes an entry", bytes)
	if bytes > most {
		t.Errorf("%.1f bytes an entry, at most %d", bytes, most)
	}
}
