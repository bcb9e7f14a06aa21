package wavelet

import (
	"math/bits"
	"slices"
)

// Part is the numbers [Lo, Hi) of a matrix.
type Part struct {
	Matrix *Matrix
	Lo, Hi uint32
}

// node is the set of all numbers whose upper bits are those of value.
type node struct {
	value int64
	// before is the number of numbers below those of the node.
	before int
	// Each span says which elements of a list are the node's: wanted ranks, parts, and loose numbers.
	ranks, parts, loose span
}

type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// Selector finds numbers by rank. The zero Selector is ready; one that is used again needs no new memory.
type Selector struct {
	nodes, next []node
	parts, down []Part
	// low has the span of each part's zeros at a level, before it is known who needs them.
	low   []span
	loose []int64
}

// Select finds the numbers at some ranks among all numbers of the parts and the loose ones, counted from 0. Ranks must
// be ascending and distinct, and less than the number of numbers. It writes the number of ranks[i] to found[i], and
// changes the order of loose, which has no negative numbers.
//
// All ranks go down together: a set of numbers is split by its next bit once, however many ranks want a number of it.
func (s *Selector) Select(parts []Part, loose []int64, ranks []int, found []int64) {
	var all uint64
	for _, v := range loose {
		all |= uint64(v)
	}
	levels := bits.Len64(all)
	for i := range parts {
		levels = max(levels, int(parts[i].Matrix.levels))
	}
	s.loose = loose
	s.parts = append(s.parts[:0], parts...)
	s.nodes = append(s.nodes[:0], node{ranks: span{0, len(ranks)}, parts: span{0, len(parts)}, loose: span{0, len(loose)}})
	for bit := levels - 1; bit >= 0; bit-- {
		s.next, s.down = s.next[:0], s.down[:0]
		for i := range s.nodes {
			s.split(&s.nodes[i], bit, ranks, found)
		}
		s.nodes, s.next = s.next, s.nodes
		s.parts, s.down = s.down, s.parts
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		for r := n.ranks.from; r < n.ranks.to; r++ {
			found[r] = n.value
		}
	}
	// The memory must not keep matrices alive.
	clear(s.parts[:cap(s.parts)])
	clear(s.down[:cap(s.down)])
	s.loose = nil
}

// fewLoose is how many loose numbers are sorted rather than split further.
const fewLoose = 24

// split puts the node's halves among the next nodes, as far as there are ranks in them.
func (s *Selector) split(n *node, bit int, ranks []int, found []int64) {
	if n.parts.len() == 0 && n.loose.len() <= fewLoose {
		s.finish(n, ranks, found)
		return
	}
	zeros := s.splitParts(s.parts[n.parts.from:n.parts.to], bit)
	looseZeros := partition(s.loose[n.loose.from:n.loose.to], bit)
	border := n.before + zeros + looseZeros
	cut := n.ranks.from
	for cut < n.ranks.to && ranks[cut] < border {
		cut++
	}
	middle := n.loose.from + looseZeros
	if cut > n.ranks.from {
		s.next = append(s.next, node{
			value: n.value, before: n.before, ranks: span{n.ranks.from, cut},
			parts: s.descend(n, bit, false), loose: span{n.loose.from, middle},
		})
	}
	if cut < n.ranks.to {
		s.next = append(s.next, node{
			value: n.value | 1<<bit, before: border, ranks: span{cut, n.ranks.to},
			parts: s.descend(n, bit, true), loose: span{middle, n.loose.to},
		})
	}
}

// finish answers the ranks of a node that has only a few loose numbers.
func (s *Selector) finish(n *node, ranks []int, found []int64) {
	left := s.loose[n.loose.from:n.loose.to]
	slices.Sort(left)
	for r := n.ranks.from; r < n.ranks.to; r++ {
		found[r] = left[ranks[r]-n.before]
	}
}

// splitParts finds the zeros of each part and returns their number. A matrix without a level for the bit has only zeros.
func (s *Selector) splitParts(parts []Part, bit int) (zeros int) {
	s.low = s.low[:0]
	for i := range parts {
		p := &parts[i]
		low := span{int(p.Lo), int(p.Hi)}
		if bit < int(p.Matrix.levels) {
			level := p.Matrix.step(int(p.Matrix.levels) - 1 - bit)
			low = span{int(p.Lo - level.ones(p.Lo)), int(p.Hi - level.ones(p.Hi))}
		}
		s.low = append(s.low, low)
		zeros += low.len()
	}
	return zeros
}

// descend appends the halves of a node's parts to those of the next level.
func (s *Selector) descend(n *node, bit int, ones bool) span {
	from := len(s.down)
	for i, low := range s.low {
		p := s.parts[n.parts.from+i]
		if !ones {
			p.Lo, p.Hi = uint32(low.from), uint32(low.to)
		} else {
			p.Lo, p.Hi = p.Lo-uint32(low.from), p.Hi-uint32(low.to)
			if bit < int(p.Matrix.levels) {
				level := p.Matrix.step(int(p.Matrix.levels) - 1 - bit)
				zeros := p.Matrix.count - level.allOnes()
				p.Lo, p.Hi = p.Lo+zeros, p.Hi+zeros
			}
		}
		if p.Lo < p.Hi {
			s.down = append(s.down, p)
		}
	}
	return span{from, len(s.down)}
}

// partition moves the values without the bit to the front and returns their number. It has no branch that a processor
// must predict.
func partition(values []int64, bit int) int {
	zeros, shift := 0, uint(bit)&63
	for i, v := range values {
		values[i] = values[zeros]
		values[zeros] = v
		zeros += int(^v >> shift & 1)
	}
	return zeros
}
