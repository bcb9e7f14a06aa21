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

// BenchmarkByLength asks for windows of histories of all lengths: four fifths of the history, and one month of it. The
// latency of an index should hardly grow.
func BenchmarkByLength(b *testing.B) {
	for _, entries := range []int{10, 100, 1000, 10_000, 100_000, 1_000_000} {
		for _, name := range Names() {
			m := makeLong(b, name, entries)
			for _, span := range []struct {
				name     string
				from, to int64
			}{
				{"most", longStartUS + longSpanUS/10 + 12345, longStartUS + longSpanUS*9/10 + 54321},
				{"month", longStartUS + longSpanUS/2, longStartUS + longSpanUS/2 + 30*indexDayUS},
			} {
				askByLength(b, m, fmt.Sprintf("window=%s/entries=%d/model=%s", span.name, entries, name), span.from, span.to)
			}
			runtime.KeepAlive(m)
		}
	}
}

func askByLength(b *testing.B, m ReadModel, name string, from, to int64) {
	b.Helper()
	reads := map[string]func() error{
		"statistics": func() error {
			_, _, err := m.GetStatistics(Newest, &walletv1.GetStatisticsRequest{
				AccountId: longAccount, Asset: benchAsset, FromUs: from, ToUs: to, Percentiles: []uint32{2500, 5000, 7500, 9500, 9900},
			})
			return err
		},
		"top": func() error {
			_, _, err := m.GetTopCounterparties(Newest, &walletv1.GetTopCounterpartiesRequest{
				AccountId: longAccount, Asset: benchAsset, FromUs: from, ToUs: to, Limit: 20,
			})
			return err
		},
		"series": func() error {
			_, _, err := m.GetTimeSeries(Newest, &walletv1.GetTimeSeriesRequest{
				AccountId: longAccount, Asset: benchAsset, FromUs: from, ToUs: to, Step: walletv1.Step_STEP_MONTH,
			})
			return err
		},
		"as-of": func() error {
			_, _, err := m.GetBalance(Newest, &walletv1.GetBalanceRequest{AccountId: longAccount, AsOfUs: &from})
			return err
		},
	}
	for _, read := range []string{"statistics", "top", "series", "as-of"} {
		b.Run(fmt.Sprintf("read=%s/%s", read, name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := reads[read](); err != nil {
					b.Fatal(err)
				}
			}
		})
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
