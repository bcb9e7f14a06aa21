package runs

import (
	"math"
	"sort"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// View is a log as it was at a position. The zero View has no entries.
type View struct {
	history *history
	// count is how many entries the reader may see. It may be less than the number of those in runs, if the history is
	// newer than what the reader knows.
	count    uint64
	position uint64
}

// View returns the log at a position. The caller must know that there are count entries, of which it saw the last
// booked. It must have learnt that before it calls.
func (l *Log) View(count, position uint64) View { return View{l.newest.Load(), count, position} }

// Empty returns whether there are no entries.
func (v View) Empty() bool { return v.count == 0 || v.history.first > v.position }

// IsWhole returns whether the view certainly has all of the count entries.
func (v View) IsWhole() bool {
	if v.count == 0 {
		return true
	}
	t := &v.history.tail
	return v.count > t.start && t.base+uint64(t.entries[v.count-t.start-1].Since) <= v.position
}

// Names returns the dictionary of the counterparties, or nil if the entries have slots instead of codes.
func (v View) Names() *Dictionary {
	if v.count == 0 || v.history.long == nil {
		return nil
	}
	return v.history.long.names
}

// Tail returns those entries that are not in runs. They are of all phases, and in booking order.
func (v View) Tail() []rows.Entry {
	if v.count == 0 || v.count <= v.history.tail.start {
		return nil
	}
	t := &v.history.tail
	held := t.entries[:v.count-t.start]
	if t.base+uint64(held[len(held)-1].Since) <= v.position {
		return held
	}
	return held[:sort.Search(len(held), func(i int) bool { return t.base+uint64(held[i].Since) > v.position })]
}

// Position returns the position of the view.
func (v View) Position() uint64 { return v.position }

// Posted returns the runs of posted entries of which the view has all entries, and the one of which it has only some,
// or nil.
func (v View) Posted() (whole []*Run, torn *Run) {
	if v.count == 0 || v.history.long == nil {
		return nil, nil
	}
	return until(v.history.long.series[0], v.position)
}

// until splits runs at a position.
func until(held []*Run, position uint64) (whole []*Run, torn *Run) {
	n := len(held)
	for n > 0 && held[n-1].last > position {
		n--
	}
	if n < len(held) && held[n].first <= position {
		torn = held[n]
	}
	return held[:n], torn
}

// Before sums up the entries that occurred before an instant.
func (v View) Before(us int64) rows.Standing {
	var s rows.Standing
	if v.Empty() {
		return s
	}
	if long := v.history.long; long != nil {
		for series := range long.series {
			whole, torn := until(long.series[series], v.position)
			for _, r := range whole {
				if end := r.Search(us); end > 0 {
					sums := r.Sides(end)
					s.Add(r.phase, uint64(end), &sums, r.Time(end-1))
				}
			}
			if torn != nil {
				entries := torn.Append(0, torn.Search(us), v.position, nil)
				for i := range entries {
					s.Count(&entries[i])
				}
			}
		}
	}
	held := v.Tail()
	for i := range held {
		if held[i].OccurredAtUS < us {
			s.Count(&held[i])
		}
	}
	return s
}

// All sums up all entries.
func (v View) All() rows.Standing { return v.Before(math.MaxInt64) }

// Bytes returns the memory that the log takes, runs and names included, and its number of runs.
func (l *Log) Bytes() (bytes, runs int) {
	h := l.newest.Load()
	if h == nil {
		return 0, 0
	}
	const entryBytes = 24
	bytes = entryBytes * cap(h.tail.entries)
	if h.long == nil {
		return bytes, 0
	}
	bytes += h.long.names.bytes()
	for _, held := range &h.long.series {
		for _, r := range held {
			bytes += r.Bytes()
			runs++
		}
	}
	return bytes, runs
}
