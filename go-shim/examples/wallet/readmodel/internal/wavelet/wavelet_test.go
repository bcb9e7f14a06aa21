package wavelet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// sequence is a matrix with the numbers that it was made of.
type sequence struct {
	numbers []uint64
	matrix  Matrix
}

func newSequence(random *rand.Rand, n, width int) *sequence {
	s := &sequence{numbers: make([]uint64, n)}
	for i := range s.numbers {
		s.numbers[i] = random.Uint64() >> (64 - width) >> random.IntN(width)
	}
	s.matrix = New(slices.Clone(s.numbers), make([]uint64, n))
	return s
}

// TestRanksAreThoseOfSorting asks parts of several sequences, with numbers of different widths, and loose numbers, all
// at once.
func TestRanksAreThoseOfSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var sequences []*sequence
	for _, n := range []int{1, 63, 64, 65, 511, 512, 513, 1024, 3000} {
		for _, width := range []int{1, 5, 50} {
			sequences = append(sequences, newSequence(random, n, width))
		}
	}
	var selector Selector
	for range 3000 {
		var parts []Part
		var all, loose []int64
		for range random.IntN(5) {
			s := sequences[random.IntN(len(sequences))]
			lo := random.IntN(s.matrix.Len() + 1)
			hi := lo + random.IntN(s.matrix.Len()-lo+1)
			if random.IntN(4) == 0 {
				lo, hi = 0, s.matrix.Len()
			}
			parts = append(parts, Part{&s.matrix, uint32(lo), uint32(hi)})
			for _, v := range s.numbers[lo:hi] {
				all = append(all, int64(v))
			}
		}
		for range random.IntN(2) * random.IntN(100) {
			loose = append(loose, random.Int64N(1<<random.IntN(50)))
		}
		all = append(all, loose...)
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		ranks := someRanks(random, len(all))
		found := make([]int64, len(ranks))
		selector.Select(parts, loose, ranks, found)
		for i, rank := range ranks {
			if found[i] != all[rank] {
				t.Fatalf("rank %d of %d is %d, want %d", rank, len(all), found[i], all[rank])
			}
		}
	}
}

func someRanks(random *rand.Rand, n int) []int {
	ranks := []int{0, n - 1}
	for range random.IntN(8) {
		ranks = append(ranks, random.IntN(n))
	}
	if random.IntN(10) == 0 {
		for i := range min(n, 100) {
			ranks = append(ranks, i)
		}
	}
	slices.Sort(ranks)
	return slices.Compact(ranks)
}

func TestZerosTakeNoLevels(t *testing.T) {
	m := New(make([]uint64, 1000), make([]uint64, 1000))
	found := []int64{-1}
	new(Selector).Select([]Part{{&m, 3, 900}}, nil, []int{5}, found)
	if m.Bytes() != 0 || found[0] != 0 {
		t.Errorf("%d bytes, found %d", m.Bytes(), found[0])
	}
}

func BenchmarkSelect(b *testing.B) {
	random := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{1 << 10, 1 << 14, 1 << 18, 1 << 20} {
		s := newSequence(random, n, 34)
		parts := []Part{{&s.matrix, uint32(n / 10), uint32(n - n/7)}}
		size := n - n/7 - n/10
		ranks := []int{size / 4, size / 2, size * 3 / 4, size * 95 / 100, size * 99 / 100}
		found := make([]int64, len(ranks))
		var selector Selector
		b.Run(fmt.Sprintf("ranks=5/numbers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				selector.Select(parts, nil, ranks, found)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	random := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{256, 1 << 14, 1 << 20} {
		s := newSequence(random, n, 34)
		numbers, spare := make([]uint64, n), make([]uint64, n)
		b.Run(fmt.Sprintf("numbers=%d", n), func(b *testing.B) {
			for b.Loop() {
				copy(numbers, s.numbers)
				New(numbers, spare)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/number")
		})
	}
}
