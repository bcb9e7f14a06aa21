// Package passes finds the values of some ranks among any number of values, in bounded memory. The values come as a
// stream that can be repeated.
//
// Up to a limit the values are kept and sorted. Beyond it they are only counted, by size, and further passes look closer
// at those counts in which a wanted rank is:
//
//	count by size ──> count a few ranges more finely ──> … ──> few enough values are left: keep and sort these
//
// This is Munro and Paterson's selection with limited storage (1980), with a histogram in the place of their samples: it
// needs at most seven passes over values of 50 bits, and nearly always two.
package passes

import (
	"math/bits"
	"slices"
	"sort"
)

const (
	// DefaultKeep is how many values are kept, in 8 MiB.
	DefaultKeep = 1 << 20
	// classBits is how many bits after its first a value shares with all of its class.
	classBits = 10
	// counters is how many ranges a pass counts.
	counters = 1 << 16
)

// Selection collects values, which must not be negative. It keeps up to a limit of them.
type Selection struct {
	keep   int
	kept   []int64
	counts []uint64
	total  uint64
}

// New returns a Selection that keeps at most that many values.
func New(keep int) *Selection { return &Selection{keep: keep} }

// Add adds a value.
func (s *Selection) Add(value int64) {
	s.total++
	if s.counts != nil {
		s.counts[classOf(value)]++
		return
	}
	if s.kept = append(s.kept, value); len(s.kept) <= s.keep {
		return
	}
	s.counts = make([]uint64, classOf(1<<63-1)+1)
	for _, v := range s.kept {
		s.counts[classOf(v)]++
	}
	s.kept = nil
}

// Total returns the number of values.
func (s *Selection) Total() uint64 { return s.total }

// Find returns the values of ranks. Rank 0 is the smallest value; ranks must be below Total. If not all values were
// kept, Find repeats the stream of values. It must consist of the same values each time, in any order.
func (s *Selection) Find(ranks []uint64, repeat func(visit func(value int64)) error) ([]int64, error) {
	wanted := slices.Clone(ranks)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	var found map[uint64]int64
	var err error
	if s.counts == nil {
		slices.Sort(s.kept)
		found = make(map[uint64]int64, len(wanted))
		for _, rank := range wanted {
			found[rank] = s.kept[rank]
		}
	} else if found, err = s.narrow(wanted, repeat); err != nil {
		return nil, err
	}
	values := make([]int64, len(ranks))
	for i, rank := range ranks {
		values[i] = found[rank]
	}
	return values, nil
}

// span is a range of values with the wanted ranks in it.
type span struct {
	low, high int64 // high is the highest value that belongs to it
	// before counts the values below low, and count those in the span.
	before, count uint64
	ranks         []uint64
}

// narrow makes passes until each wanted rank has its value.
func (s *Selection) narrow(wanted []uint64, repeat func(visit func(value int64)) error) (map[uint64]int64, error) {
	whole := span{high: 1<<63 - 1, count: s.total, ranks: wanted}
	spans := whole.split(s.counts, classStart)
	found := make(map[uint64]int64, len(wanted))
	for {
		spans = slices.DeleteFunc(spans, func(p span) bool {
			if p.low == p.high {
				for _, rank := range p.ranks {
					found[rank] = p.low
				}
			}
			return p.low == p.high
		})
		var left uint64
		for i := range spans {
			left += spans[i].count
		}
		switch {
		case left == 0:
			return found, nil
		case left <= uint64(s.keep):
			return found, collect(spans, left, found, repeat)
		}
		var err error
		if spans, err = countMoreFinely(spans, repeat); err != nil {
			return nil, err
		}
	}
}

// split returns those parts of a span that have wanted ranks. starts returns the lowest value of a part; parts follow
// each other up to the span's end.
func (p *span) split(counts []uint64, starts func(part int) int64) (parts []span) {
	before, next := p.before, 0
	for i, count := range counts {
		ranks := next
		for next < len(p.ranks) && p.ranks[next] < before+count {
			next++
		}
		if next > ranks {
			part := span{low: starts(i), high: p.high, before: before, count: count, ranks: p.ranks[ranks:next]}
			if i+1 < len(counts) {
				part.high = min(p.high, starts(i+1)-1)
			}
			parts = append(parts, part)
		}
		before += count
	}
	return parts
}

// countMoreFinely makes a pass that counts the parts of each span, and returns the parts with wanted ranks.
func countMoreFinely(spans []span, repeat func(visit func(value int64)) error) (finer []span, err error) {
	each := counters / len(spans)
	counts := make([]uint64, each*len(spans))
	widths := make([]int64, len(spans))
	for i := range spans {
		// The width is at least 1, because the span has more than one value.
		widths[i] = (spans[i].high-spans[i].low)/int64(each) + 1
	}
	err = repeat(func(value int64) {
		if i, ok := spanOf(spans, value); ok {
			counts[i*each+int((value-spans[i].low)/widths[i])]++
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range spans {
		p := &spans[i]
		parts := int((p.high-p.low)/widths[i]) + 1
		finer = append(finer, p.split(counts[i*each:i*each+parts], func(part int) int64 {
			return p.low + int64(part)*widths[i]
		})...)
	}
	return finer, nil
}

// collect makes the last pass. It keeps the values in the spans.
func collect(spans []span, left uint64, found map[uint64]int64, repeat func(visit func(value int64)) error) error {
	kept := make([]int64, 0, left)
	err := repeat(func(value int64) {
		if _, ok := spanOf(spans, value); ok {
			kept = append(kept, value)
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(kept)
	for i := range spans {
		for _, rank := range spans[i].ranks {
			found[rank] = kept[rank-spans[i].before]
		}
		kept = kept[spans[i].count:]
	}
	return nil
}

// spanOf returns the span that holds a value. Spans are ascending.
func spanOf(spans []span, value int64) (int, bool) {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].high >= value })
	return i, i < len(spans) && spans[i].low <= value
}

// classOf returns the class of a value. Classes ascend with values. A small value has a class of its own; in a larger
// class the values differ by less than a thousandth.
func classOf(value int64) int {
	shift := max(0, bits.Len64(uint64(value))-classBits-1)
	return shift<<classBits + int(uint64(value)>>shift)
}

// classStart returns the lowest value of a class.
func classStart(class int) int64 {
	shift := max(0, class>>classBits-1)
	return int64(class-shift<<classBits) << shift
}
