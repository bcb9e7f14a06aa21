package runs

import (
	"math/bits"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
)

// leastSet is the log of the fewest entries that have a set.
const leastSet = packed.BlockBits

// setFan is how many sets of a level have one set above them.
const setFan = 8

// sets has the set of the counterparties of each 1<<shift entries, as bits by code; then those of each setFan such
// parts, and so on up to all of them. A part has the more entries the longer a set is, so that an entry has about a
// byte of sets at most. Entries behind the last whole part have a set if it is not much longer than they are.
type sets struct {
	words []uint64
	// width is the number of words of a set, and parts the number of sets of the first level.
	width, parts int
	shift        uint8
}

// newSets makes the empty sets of a run.
func newSets(count int, highest uint32) sets {
	s := sets{width: int(highest)/64 + 1}
	s.shift = uint8(max(leastSet, bits.Len(uint(8*s.width-1))))
	s.parts = count >> s.shift
	if count-s.parts<<s.shift > 2*s.width {
		s.parts++
	}
	all := 0
	for parts := s.parts; parts > 0; parts = above(parts) {
		all += parts
	}
	s.words = make([]uint64, all*s.width)
	return s
}

// above returns how many sets there are above so many.
func above(parts int) int {
	if parts == 1 {
		return 0
	}
	return (parts + setFan - 1) / setFan
}

// book puts the counterparties of entries from index start on into the first level.
func (s *sets) book(start int, codes []int64) {
	for i, code := range codes {
		if part := (start + i) >> s.shift; part < s.parts {
			s.words[part*s.width+int(code)/64] |= 1 << (uint64(code) % 64)
		}
	}
}

// rise makes the other levels from the first.
func (s *sets) rise() {
	level := s.words
	for parts := s.parts; parts > 1; parts = above(parts) {
		next := level[parts*s.width:]
		for part := range parts {
			unite(next[part/setFan*s.width:][:s.width], level[part*s.width:][:s.width])
		}
		level = next
	}
}

// unite adds the elements of a set to another, which must be at least as wide.
func unite(into, set []uint64) {
	into = into[:len(set)]
	for i, word := range set {
		into[i] |= word
	}
}

// between adds the sets of the parts [from, to) to a set.
func (s *sets) between(from, to int, into []uint64) {
	level := s.words
	for parts := s.parts; from < to; parts = above(parts) {
		for ; from < to && from%setFan != 0; from++ {
			unite(into, level[from*s.width:][:s.width])
		}
		for ; from < to && to%setFan != 0; to-- {
			unite(into, level[(to-1)*s.width:][:s.width])
		}
		from, to = from/setFan, to/setFan
		level = level[parts*s.width:]
	}
}

// Unite adds the counterparties of the entries [from, to) of a run of posted entries to a set: bits by code.
func (r *Run) Unite(from, to int, into []uint64) {
	if r.index != nil {
		s := &r.index.sets
		first, last := (from+1<<s.shift-1)>>s.shift, to>>s.shift
		if to == r.count {
			last = s.parts
		}
		if first < last {
			s.between(first, last, into)
			r.mark(from, first<<s.shift, into)
			from = last << s.shift
		}
	}
	r.mark(from, to, into)
}

// mark adds the counterparties of the entries [from, to) to a set, one by one.
func (r *Run) mark(from, to int, into []uint64) {
	var decoded [packed.Block]int64
	for from < to {
		end := min(to, from|(packed.Block-1)+1)
		for _, code := range r.codes.Read(from, end, &decoded) {
			into[uint64(code)/64] |= 1 << (uint64(code) % 64)
		}
		from = end
	}
}
