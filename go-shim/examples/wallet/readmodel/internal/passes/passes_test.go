package passes

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRanksAreThoseOfSorting compares with sorting, for streams that are longer than what is kept.
func TestRanksAreThoseOfSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func(i int) int64{
		"small":         func(int) int64 { return random.Int64N(50) },
		"of all sizes":  func(int) int64 { return 1 + random.Int64N(1<<random.IntN(50)) },
		"equal":         func(int) int64 { return 1_000_000 },
		"close":         func(int) int64 { return 1<<49 + random.Int64N(3) },
		"all":           func(int) int64 { return random.Int64() },
		"ends":          func(i int) int64 { return []int64{0, math.MaxInt64}[i%2] },
		"one of a kind": func(i int) int64 { return int64(i)*1_000_003%999_983 + 1<<40 },
	}
	for name, value := range shapes {
		for _, n := range []int{1, 2, 7, 8, 9, 500, 5000} {
			for _, keep := range []int{1, 8, 300, 10_000} {
				values := make([]int64, n)
				for i := range values {
					values[i] = value(i)
				}
				check(t, fmt.Sprintf("%s, %d values, %d kept", name, n, keep), random, values, keep)
			}
		}
	}
}

func check(t *testing.T, name string, random *rand.Rand, values []int64, keep int) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(values))
	s := New(keep)
	for _, v := range values {
		s.Add(v)
	}
	ranks := []uint64{uint64(len(values) - 1), 0}
	for range random.IntN(100) {
		ranks = append(ranks, random.Uint64N(uint64(len(values))))
	}
	most := 0
	got, err := s.Find(ranks, func(visit func(int64)) error {
		most++
		random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		for _, v := range values {
			visit(v)
		}
		return nil
	})
	if err != nil || s.Total() != uint64(len(values)) {
		t.Fatalf("%s: %v, total %d", name, err, s.Total())
	}
	for i, rank := range ranks {
		if got[i] != sorted[rank] {
			t.Fatalf("%s: rank %d is %d, want %d", name, rank, got[i], sorted[rank])
		}
	}
	if most > 8 {
		t.Errorf("%s: %d passes", name, most)
	}
	if len(values) <= keep && most > 0 {
		t.Errorf("%s: %d passes, although all values were kept", name, most)
	}
}

func TestClassesFollowEachOther(t *testing.T) {
	last := classOf(math.MaxInt64)
	for class := range last {
		low, next := classStart(class), classStart(class+1)
		if classOf(low) != class || classOf(next-1) != class || classOf(next) != class+1 {
			t.Fatalf("class %d is from %d to %d: %d, %d, %d", class, low, next, classOf(low), classOf(next-1), classOf(next))
		}
	}
	if classOf(0) != 0 || classOf(10_000) == classOf(10_011) {
		t.Errorf("classes %d, %d", classOf(0), classOf(10_000))
	}
}

func TestAStreamThatFailsIsAnError(t *testing.T) {
	s := New(2)
	for v := range int64(5000) {
		s.Add(v << 30)
	}
	broken := errors.New("broken")
	if _, err := s.Find([]uint64{7}, func(func(int64)) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
