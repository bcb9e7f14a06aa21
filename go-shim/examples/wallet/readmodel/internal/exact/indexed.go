package exact

import (
	"math"
	"math/bits"
	"slices"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/wavelet"
)

// slice is a part of a run of which all entries are in the window and in the view.
type slice struct {
	*runs.Run
	from, to int
}

// fewInSlice is up to how many entries of a run are rather decoded than looked up in its index.
const fewInSlice = 48

// indexed is the memory of a computation over runs.
type indexed struct {
	slices []slice
	// loose has the other entries of runs that are in the window, decoded.
	loose    []rows.Entry
	parts    []wavelet.Part
	found    []int64
	dense    runs.Dense
	ends     []int64
	selector wavelet.Selector
}

// gather finds the entries of runs in the window. Long parts of runs with an index become slices, all others loose
// entries.
func (m *indexed) gather(view runs.View, window Window) {
	m.slices, m.loose = m.slices[:0], m.loose[:0]
	whole, torn := view.Posted()
	for _, r := range whole {
		from, to := r.Search(window.FromUS), r.Search(window.ToUS)
		if r.Indexed() && to-from > fewInSlice {
			m.slices = append(m.slices, slice{r, from, to})
		} else {
			m.loose = r.Append(from, to, math.MaxUint64, m.loose)
		}
	}
	if torn != nil {
		m.loose = torn.Append(torn.Search(window.FromUS), torn.Search(window.ToUS), view.Position(), m.loose)
	}
}

// release forgets the runs, which the pool would keep alive.
func (m *indexed) release() {
	clear(m.slices)
	clear(m.parts)
	m.slices, m.parts = m.slices[:0], m.parts[:0]
	m.dense.Release()
}

// SummarizeRuns is [Summarize] over runs. ids must be greater than the highest slot.
func SummarizeRuns(view runs.View, window Window, percentiles []uint32, ids int) Summary {
	s := Summary{Min: math.MaxInt64, Max: math.MinInt64, FirstUS: math.MaxInt64, LastUS: math.MinInt64}
	memory := pool.Get().(*scratch)
	m := &memory.indexed
	m.gather(view, window)
	if names := view.Names(); names != nil {
		ids = names.Size()
	}
	tail := view.Tail()
	most := len(m.loose) + len(tail)
	sizes, slots := room(&memory.sizes, most), room(&memory.slots, most)
	n := s.addAll(m.loose, window, sizes, slots)
	n += s.addAll(tail, window, sizes[n:], slots[n:])
	if len(m.slices) == 0 {
		s.Counterparties = distinct(memory, slots[:n], ids)
		if n > 0 && len(percentiles) > 0 {
			s.Ranked = nearestRanks(memory, sizes[:n], percentiles)
		}
	} else {
		s.addSlices(m.slices)
		s.Counterparties = m.distinct(memory, slots[:n], ids)
		if len(percentiles) > 0 {
			s.Ranked = m.nearestRanks(memory, sizes[:n], percentiles, int(s.Count()))
		}
	}
	m.release()
	pool.Put(memory)
	return s
}

// addAll adds any number of entries, as add does a run of them.
func (s *Summary) addAll(entries []rows.Entry, window Window, sizes []int64, slots []uint32) (n int) {
	for len(entries) > 0 {
		run := entries[:min(versions.BlockSize, len(entries))]
		entries = entries[len(run):]
		n += s.add(run, window, sizes[n:], slots[n:])
	}
	return n
}

func (s *Summary) addSlices(parts []slice) {
	for i := range parts {
		part := &parts[i]
		sums, least, most := part.Sum(part.from, part.to)
		s.CreditCount += sums.Credits
		s.DebitCount += sums.Debits
		s.Sums = s.Sums.Plus(&sums.Sides)
		s.squares = s.squares.plus(sums.SquaresHigh, sums.SquaresLow)
		s.Min, s.Max = min(s.Min, least), max(s.Max, most)
		s.FirstUS, s.LastUS = min(s.FirstUS, part.Time(part.from)), max(s.LastUS, part.Time(part.to-1))
	}
}

// distinct returns the number of different counterparties of the slices and of some entries, by code.
func (m *indexed) distinct(memory *scratch, codes []uint32, ids int) uint64 {
	seen := room(&memory.seen, ids/64+1)
	for i := range m.slices {
		m.slices[i].Unite(m.slices[i].from, m.slices[i].to, seen)
	}
	for _, code := range codes {
		seen[code/64] |= 1 << (code % 64)
	}
	seen[rows.Nobody/64] &^= 1 << (rows.Nobody % 64)
	count := 0
	for i, word := range seen {
		count += bits.OnesCount64(word)
		seen[i] = 0
	}
	return uint64(count)
}

// nearestRanks returns the percentiles of all count entries of the slices and of those with these sizes.
func (m *indexed) nearestRanks(memory *scratch, sizes []int64, percentiles []uint32, count int) []int64 {
	m.parts = m.parts[:0]
	for i := range m.slices {
		part := &m.slices[i]
		m.parts = append(m.parts, wavelet.Part{Matrix: part.Sizes(), Lo: uint32(part.from), Hi: uint32(part.to)})
	}
	ranks := room(&memory.ranks, len(percentiles))
	for i, p := range percentiles {
		ranks[i] = nearestRank(p, count)
	}
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	found := room(&m.found, len(ranks))
	m.selector.Select(m.parts, sizes, ranks, found)
	values := make([]int64, len(percentiles))
	for i, p := range percentiles {
		at, _ := slices.BinarySearch(ranks, nearestRank(p, count))
		values[i] = found[at]
	}
	return values
}

// TopRuns is [Top] over runs.
func TopRuns(view runs.View, window Window, limit, ids int, name func(slot uint32) []byte) []Total {
	memory := pool.Get().(*scratch)
	m := &memory.indexed
	m.gather(view, window)
	tail := view.Tail()
	names := view.Names()
	if names != nil {
		ids = names.Size()
		bySlot := name
		name = func(code uint32) []byte { return bySlot(names.Slot(code)) }
	}
	var top []Total
	if m.suitsTables(ids, len(tail)) {
		top = m.topByTables(tail, window, limit, ids, name)
	} else {
		t := newTally(memory, ids)
		t.add(m.loose, window)
		t.add(tail, window)
		for _, part := range m.slices {
			m.decode(part, func(entries []rows.Entry) { t.add(entries, window) })
		}
		t.end(memory)
		top = slices.Clone(largest(t.totals[1:], limit, name))
	}
	for i := range top {
		if names != nil {
			top[i].Slot = names.Slot(top[i].Slot)
		}
	}
	m.release()
	pool.Put(memory)
	return top
}

// decode calls add with all entries of a slice, some at a time. It uses the memory of loose.
func (m *indexed) decode(part slice, add func(entries []rows.Entry)) {
	const atOnce = 1024
	for from := part.from; from < part.to; from += atOnce {
		m.loose = part.Append(from, min(part.to, from+atOnce), math.MaxUint64, m.loose[:0])
		add(m.loose)
	}
}

// fewInTables is up to how many entries a table never pays, however short.
const fewInTables = 50

// suitsTables returns whether tables of all counterparties are faster than a total for each that occurs, and whether
// their sums certainly fit.
func (m *indexed) suitsTables(ids, tail int) bool {
	entries := len(m.loose) + tail
	if entries > math.MaxInt64/ledger.MaxAmount {
		return false
	}
	total := ledger.Int128Of(int64(entries) * ledger.MaxAmount)
	for i := range m.slices {
		total = total.Add(m.slices[i].Total())
		entries += m.slices[i].to - m.slices[i].from
	}
	_, fits := total.Int64()
	return fits && entries > fewInTables && entries > ids/8
}

func (m *indexed) topByTables(tail []rows.Entry, window Window, limit, ids int, name func(code uint32) []byte) []Total {
	d := &m.dense
	d.Reset(ids)
	for _, entries := range [2][]rows.Entry{m.loose, tail} {
		for i := range entries {
			if e := &entries[i]; window.takes(e) {
				d.Book(e.Counterparty, e.Amount())
			}
		}
	}
	for i := range m.slices {
		d.Add(m.slices[i].Run, m.slices[i].from, m.slices[i].to)
	}
	top := largestOf(d.Sizes, limit, name)
	for i := range top {
		count, credits := d.Of(top[i].Slot)
		sums := &top[i].sums
		top[i].Count = count
		sums[0], sums[1] = ledger.Int128Of(int64(credits)), sums[0].AddInt64(-int64(credits))
	}
	return top
}

// largestOf is [largest] over a table of sums by code. The sum of a total is in sums[0].
func largestOf(sizes []uint64, limit int, name func(code uint32) []byte) []Total {
	rank := ranking(name)
	front := make([]Total, 0, limit)
	var least uint64
	for code, size := range sizes {
		if size == 0 || size < least || code == int(rows.Nobody) {
			continue
		}
		total := Total{Slot: uint32(code), sums: [2]ledger.Int128{ledger.Int128Of(int64(size))}}
		switch {
		case len(front) < limit:
			front = append(front, total)
			if len(front) < limit {
				continue
			}
			for i := limit/2 - 1; i >= 0; i-- {
				sink(front, i, rank)
			}
		case rank(&total, &front[0]) < 0:
			front[0] = total
			sink(front, 0, rank)
		default:
			continue
		}
		worst, _ := front[0].sums[0].Int64()
		least = uint64(worst)
	}
	slices.SortFunc(front, func(a, b Total) int { return rank(&a, &b) })
	return front
}
