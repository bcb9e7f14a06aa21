package runs

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Log holds the entries of one (account, asset). The zero Log is empty.
type Log struct{ newest atomic.Pointer[history] }

// history is all entries of a log. It never changes, but for the tail's spare memory.
type history struct {
	// first is the position of the first entry.
	first uint64
	// long is nil as long as all entries are in the tail.
	long *long
	tail tail
}

// tail has the newest entries, in booking order. It has spare capacity, which the writer fills. Each reader has the
// count of entries that it may read.
type tail struct {
	// start is the number of entries in runs, and base the position of the first entry of the tail.
	start, base uint64
	entries     []rows.Entry
}

const phases = rows.Phases - 1

// long is what only long histories have. The counterparties of their entries are codes.
type long struct {
	names *Dictionary
	// series has the runs of each phase, in booking order.
	series [phases][]*Run
}

func phaseOf(series int) walletv1.Phase { return walletv1.Phase(series + 1) }

// Shape says how long things may get.
type Shape struct {
	// Tail is the number of entries up to which a tail grows.
	Tail int
	// Indexed is the number of entries from which on a run has an index.
	Indexed int
	// Inline is the length of the longest run that the writer makes itself, by a merge.
	Inline int
}

// DefaultShape returns what BenchmarkByLength found best: with an index from 512 entries on, statistics of 1,000 entries took
// longer than a scan.
func DefaultShape() Shape {
	return Shape{Tail: packed.Block, Indexed: packed.Block / 2, Inline: 16 * packed.Block}
}

// Store is what all logs of a ledger share.
type Store struct {
	shape  Shape
	merger merger
}

// NewStore returns a store with no logs.
func NewStore(shape Shape) *Store {
	s := &Store{shape: shape}
	s.merger.init()
	return s
}

// firstOfMany is the capacity that the second and later tails of a log start with.
const firstOfMany = 1 << 6

// Append puts an entry behind the first count entries. It does not change what readers of these may see. There must be
// one caller at a time for all logs of a store.
func (s *Store) Append(l *Log, count, position uint64, e rows.Entry) {
	h := l.newest.Load()
	switch {
	case h == nil:
		h = &history{first: position, tail: tail{base: position, entries: make([]rows.Entry, 1)}}
		l.newest.Store(h)
	case count-h.tail.start == uint64(s.shape.Tail) || position-h.tail.base > math.MaxUint32:
		h = s.seal(l, count, position)
	case count-h.tail.start == uint64(len(h.tail.entries)):
		h = l.widen(s.shape.Tail)
	}
	if h.long != nil {
		e.Counterparty = h.long.names.codeOf(&e)
	}
	e.Since = uint32(position - h.tail.base)
	h.tail.entries[count-h.tail.start] = e
}

// widen gives the tail more memory.
func (l *Log) widen(most int) *history {
	var entries []rows.Entry
	for {
		h := l.newest.Load()
		if entries == nil {
			entries = make([]rows.Entry, min(larger(len(h.tail.entries)), most))
			copy(entries, h.tail.entries)
		}
		// The merger may have changed the runs, but only the writer changes the tail.
		next := &history{h.first, h.long, tail{h.tail.start, h.tail.base, entries}}
		if l.newest.CompareAndSwap(h, next) {
			return next
		}
	}
}

// larger returns the capacity after one that is used up, in steps that are size classes of Go's allocator: half as much
// again, because most logs are short, and unused capacity would be much of the memory. Long logs double.
func larger(entries int) int {
	switch {
	case entries >= firstOfMany:
		return 2 * entries
	case entries < 2:
		return entries + 1
	case entries < 12:
		return entries + 2
	case entries == 12:
		return 16
	case entries&(entries-1) == 0:
		return entries + entries/2
	}
	return entries / 3 * 4
}

// seal sorts the tail into runs and begins a new tail, at a position.
func (s *Store) seal(l *Log, count, position uint64) *history {
	h := l.newest.Load()
	names := newDictionary()
	if h.long != nil {
		names = h.long.names
	}
	sealed := s.sort(&h.tail, int(count-h.tail.start), names, h.long != nil)
	entries := make([]rows.Entry, min(firstOfMany, s.shape.Tail))
	for {
		h = l.newest.Load()
		next := &history{h.first, s.longer(h.long, names, &sealed), tail{count, position, entries}}
		if l.newest.CompareAndSwap(h, next) {
			if _, group := s.overdue(next.long); group != nil {
				s.merger.queue(s, l)
			}
			return next
		}
	}
}

// sort makes a run of the first count entries of each phase. If the counterparties are not yet codes it gives them
// some.
func (s *Store) sort(t *tail, count int, names *Dictionary, coded bool) (sealed [phases]*Run) {
	held := make([]row, 0, count)
	for series := range sealed {
		held = held[:0]
		p := plan{phase: phaseOf(series)}
		for i := range t.entries[:count] {
			e := &t.entries[i]
			if e.Phase() != p.phase {
				continue
			}
			code := e.Counterparty
			if !coded {
				code = names.codeOf(e)
			}
			_, size := rows.Split(e.Amount())
			p.total = p.total.AddInt64(size)
			p.highest = max(p.highest, code)
			held = append(held, row{e.OccurredAtUS, e.Amount(), t.base + uint64(e.Since), code})
		}
		if len(held) == 0 {
			continue
		}
		p.count, p.first, p.last = len(held), held[0].position, held[len(held)-1].position
		if byTime := func(a, b row) int { return cmp.Compare(a.us, b.us) }; !slices.IsSortedFunc(held, byTime) {
			slices.SortStableFunc(held, byTime)
		}
		b := newBuilder(&p, s.shape.Indexed)
		b.add(held)
		sealed[series] = b.end()
	}
	return sealed
}

// longer returns the runs with those of a sealed tail behind them, and with the small merges that are due then.
func (s *Store) longer(old *long, names *Dictionary, sealed *[phases]*Run) *long {
	next := &long{names: names}
	if old != nil {
		next.series = old.series
	}
	for series, run := range sealed {
		if run == nil {
			continue
		}
		held := append(slices.Clip(next.series[series]), run)
		for from, to := due(held, 0, s.shape.Inline); from < to; from, to = due(held, 0, s.shape.Inline) {
			held = slices.Replace(held, from, to, merge(held[from:to], s.shape.Indexed))
		}
		next.series[series] = held
	}
	return next
}

// overdue returns a series and the runs of it whose merge is left to the merger, or no runs.
func (s *Store) overdue(l *long) (series int, group []*Run) {
	if l == nil {
		return 0, nil
	}
	for series, held := range &l.series {
		if from, to := due(held, s.shape.Inline, mostEntries); from < to {
			return series, held[from:to]
		}
	}
	return 0, nil
}

// replace puts a run in the place of those that it was merged from. It returns false if they are not there any more.
func (l *Log) replace(series int, group []*Run, merged *Run) bool {
	for {
		h := l.newest.Load()
		held := h.long.series[series]
		at := slices.Index(held, group[0])
		if at < 0 || at+len(group) > len(held) || !slices.Equal(held[at:at+len(group)], group) {
			return false
		}
		next := &history{h.first, &long{h.long.names, h.long.series}, h.tail}
		next.long.series[series] = slices.Concat(held[:at], []*Run{merged}, held[at+len(group):])
		if l.newest.CompareAndSwap(h, next) {
			return true
		}
	}
}
