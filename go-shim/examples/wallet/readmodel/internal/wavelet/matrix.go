// Package wavelet keeps a sequence of numbers so that the k-th smallest of any part of it is found in one step per bit
// (Claude, Navarro and Ordóñez, "The wavelet matrix", 2015). Several sequences can be asked as if they were one.
//
// The first level has the highest bit of each number, in the order of the sequence. For each next level the numbers are
// put in a new order: those with a 0 at the level before come first, otherwise the order stays. So the numbers of a part
// whose upper bits are equal stay together, and two counts of ones lead from a level to the next:
//
//	sequence  5 1 6 2 7 0        bits of level 0:  1 0 1 0 1 0
//	level 1   1 2 0 | 5 6 7      bits of level 1:  0 1 0 0 1 1
//	level 2   1 0 5 | 2 6 7      bits of level 2:  1 0 1 0 0 1
package wavelet

import "math/bits"

const (
	// A rank is kept for each 512 bits, a cache line of them.
	rankBits  = 9
	rankWords = 1 << rankBits / 64
)

// Matrix is a sequence of numbers that never changes.
type Matrix struct {
	// words has the bits of the levels, one level behind the other. ranks has, for each level, the number of ones before
	// each 512 bits, and at last the number of all ones of the level.
	words []uint64
	ranks []uint32
	count uint32
	// levels is the number of bits of the largest number.
	levels uint8
}

// Len returns the number of numbers.
func (m *Matrix) Len() int { return int(m.count) }

// Bytes returns the memory that the matrix takes.
func (m *Matrix) Bytes() int { return 8*cap(m.words) + 4*cap(m.ranks) }

// New returns the matrix of fewer than 2^31 numbers. It changes the order of numbers and needs spare memory of the same
// length.
func New(numbers, spare []uint64) Matrix {
	var all uint64
	for _, v := range numbers {
		all |= v
	}
	m := Matrix{count: uint32(len(numbers)), levels: uint8(bits.Len64(all))}
	m.words = make([]uint64, int(m.levels)*m.stride())
	m.ranks = make([]uint32, int(m.levels)*m.rankStride())
	spare = spare[:len(numbers)]
	for level := range int(m.levels) {
		m.fill(level, numbers, spare)
	}
	return m
}

// stride is the number of words of a level. There is a bit behind the last number, so that the end has a word too.
func (m *Matrix) stride() int { return int(m.count)/64 + 1 }

func (m *Matrix) rankStride() int { return int(m.count)>>rankBits + 2 }

// fill writes the bits of a level and puts the numbers in the order of the next.
func (m *Matrix) fill(level int, numbers, spare []uint64) {
	words := m.words[level*m.stride():][:m.stride()]
	ranks := m.ranks[level*m.rankStride():][:m.rankStride()]
	shift := m.levels - 1 - uint8(level)
	zeros, ones := 0, 0
	for start := 0; start < len(numbers); start += 64 {
		if start%(1<<rankBits) == 0 {
			ranks[start>>rankBits] = uint32(ones)
		}
		var word uint64
		for i, v := range numbers[start:min(start+64, len(numbers))] {
			bit := v >> shift & 1
			word |= bit << i
			// Both stores are made, so that the processor has no branch to predict. The front never overtakes the reading.
			numbers[zeros], spare[ones] = v, v
			zeros += int(1 - bit)
			ones += int(bit)
		}
		words[start/64] = word
	}
	copy(numbers[zeros:], spare[:ones])
	if len(numbers)%(1<<rankBits) == 0 {
		ranks[len(numbers)>>rankBits] = uint32(ones)
	}
	ranks[len(ranks)-1] = uint32(ones)
}

// step is a level as the descent sees it.
type step struct {
	words []uint64
	ranks []uint32
}

func (m *Matrix) step(level int) step {
	words, ranks := m.stride(), m.rankStride()
	return step{m.words[level*words : (level+1)*words], m.ranks[level*ranks : (level+1)*ranks]}
}

// ones returns the number of ones before a bit.
func (s *step) ones(i uint32) uint32 {
	block := int(i >> rankBits)
	count := int(s.ranks[block])
	words := s.words[block*rankWords : i>>6+1]
	last := len(words) - 1
	for _, word := range words[:last] {
		count += bits.OnesCount64(word)
	}
	return uint32(count + bits.OnesCount64(words[last]&(1<<(i&63)-1)))
}

// allOnes returns the number of ones of the level.
func (s *step) allOnes() uint32 { return s.ranks[len(s.ranks)-1] }
