package exact

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
)

// perBucket is up to how many entries a bucket are added one by one. Above, the sums before its ends are subtracted,
// which takes as long as adding about twenty.
const perBucket = 20

// SeriesRuns is [Series] over runs.
func SeriesRuns(view runs.View, window Window, step walletv1.Step, take func(before ledger.Int128, first int64, buckets []Bucket)) {
	memory := pool.Get().(*scratch)
	m := &memory.indexed
	s := series{
		window: window, step: step, first: ledger.BucketIndex(step, window.FromUS),
		buckets: room(&memory.series, int(ledger.Buckets(step, window.FromUS, window.ToUS))),
	}
	clear(s.buckets)
	m.ends = m.ends[:0]
	whole, torn := view.Posted()
	for _, r := range whole {
		from, to := r.Search(window.FromUS), r.Search(window.ToUS)
		before := r.Sides(from)
		s.before = s.before.Add(before.Net())
		if to-from > perBucket*len(s.buckets) {
			m.ends = s.endsOf(m.ends)
			s.subtract(r, from, to, before, m.ends)
			continue
		}
		m.decode(slice{r, from, to}, s.add)
	}
	if torn != nil {
		m.loose = torn.Append(0, torn.Search(window.ToUS), view.Position(), m.loose[:0])
		s.add(m.loose)
	}
	s.add(view.Tail())
	take(s.before, s.first, s.buckets)
	pool.Put(memory)
}

// endsOf returns when each bucket ends, or the window if that is earlier. ends has them already if it is not empty.
func (s *series) endsOf(ends []int64) []int64 {
	if len(ends) == 0 {
		for i := range s.buckets {
			ends = append(ends, min(s.window.ToUS, ledger.BucketStart(s.step, s.first+int64(i)+1)))
		}
	}
	return ends
}

// subtract adds the entries [at, to) of a run to the buckets. before sums up the entries before them.
func (s *series) subtract(r *runs.Run, at, to int, before rows.Sides, ends []int64) {
	for i := range s.buckets {
		if at == to {
			return
		}
		next := r.SearchFrom(at, ends[i])
		if next == at {
			continue
		}
		until := r.Sides(next)
		within := until.Minus(&before)
		b := &s.buckets[i]
		b.Count += uint64(next - at)
		b.sums[0], b.sums[1] = b.sums[0].Add(within.Credits), b.sums[1].Add(within.Debits)
		at, before = next, until
	}
}
