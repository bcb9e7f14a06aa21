package packed

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"unsafe"
)

// shapes are kinds of values, each with other widths.
var shapes = map[string]func(random *rand.Rand, i int) int64{
	"equal":    func(*rand.Rand, int) int64 { return -7 },
	"bits":     func(random *rand.Rand, _ int) int64 { return random.Int64N(2) },
	"signed":   func(random *rand.Rand, _ int) int64 { return random.Int64N(2_000_001) - 1_000_000 },
	"57 bits":  func(random *rand.Rand, i int) int64 { return edge(i, 1<<57-1, random) },
	"58 bits":  func(random *rand.Rand, i int) int64 { return edge(i, 1<<57, random) },
	"all bits": func(random *rand.Rand, _ int) int64 { return int64(random.Uint64()) },
	"extremes": func(random *rand.Rand, _ int) int64 { return []int64{math.MinInt64, math.MaxInt64}[random.IntN(2)] },
	"days":     func(random *rand.Rand, _ int) int64 { return random.Int64N(300) * 86_400_000_000 },
	"clustered": func(random *rand.Rand, i int) int64 {
		return int64(i/Block)*1_000_000_007 + random.Int64N(1<<(i/Block%20))
	},
}

// edge returns 0, then most, then values between.
func edge(i int, most int64, random *rand.Rand) int64 {
	if i < 2 {
		return int64(i) * most
	}
	return random.Int64N(most + 1)
}

var lengths = []int{1, 2, 63, Block - 1, Block, Block + 1, 2*Block - 1, 5*Block + 17}

func build(values []int64, ascending bool) Column {
	var b Builder
	for start := 0; start < len(values); start += Block {
		block := values[start:min(start+Block, len(values))]
		unit := int64(1)
		if ascending {
			unit = UnitOf(block)
		}
		b.Append(block, unit)
	}
	c := b.Column()
	b.Reset()
	return c
}

func TestValuesComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for name, value := range shapes {
		for _, n := range lengths {
			values := make([]int64, n)
			for i := range values {
				values[i] = value(random, i)
			}
			for _, ascending := range []bool{false, true} {
				if ascending {
					slices.Sort(values)
				}
				c := build(values, ascending)
				for i, want := range values {
					if got := c.At(i); got != want {
						t.Fatalf("%s: value %d of %d is %d, want %d", name, i, n, got, want)
					}
				}
				var out [Block]int64
				for range 30 {
					from := random.IntN(n)
					to := from + random.IntN(min(n, from/Block*Block+Block)-from+1)
					if got := c.Read(from, to, &out); !slices.Equal(got, values[from:to]) {
						t.Fatalf("%s: [%d, %d) of %d is %v, want %v", name, from, to, n, got, values[from:to])
					}
					var wantNet, wantGross int64
					for _, v := range values[from:to] {
						wantNet += v
						wantGross += max(v, -v)
					}
					if net, gross := c.Sum(from, to); name != "all bits" && name != "extremes" && (net != wantNet || gross != wantGross) {
						t.Fatalf("%s: [%d, %d) of %d: sums %d and %d, want %d and %d", name, from, to, n, net, gross, wantNet, wantGross)
					}
				}
			}
		}
	}
}

func TestSearchFindsTheFirstOfEquals(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for name, value := range shapes {
		for _, n := range lengths {
			values := make([]int64, n)
			for i := range values {
				values[i] = value(random, i)
			}
			slices.Sort(values)
			c := build(values, true)
			for range 200 {
				target := values[random.IntN(n)]
				switch {
				case random.IntN(2) == 0 && target < math.MaxInt64:
					target++
				case random.IntN(20) == 0:
					target = math.MaxInt64
				}
				want := sort.Search(n, func(i int) bool { return values[i] >= target })
				from := 0
				if want > 0 {
					from = random.IntN(want + 1)
				}
				if got := c.Search(from, n, target); got != want {
					t.Fatalf("%s: %d of %d, from %d: at %d, want %d", name, target, n, from, got, want)
				}
			}
		}
	}
}

func TestColumnsAreNarrow(t *testing.T) {
	days := make([]int64, 100*Block)
	for i := range days {
		days[i] = int64(i/200) * 86_400_000_000
	}
	// A block touches at most three days, so two bits do.
	c := build(days, true)
	if bits := 8 * float64(c.Bytes()) / float64(len(days)); bits > 2+8*headBytes/Block+0.1 {
		t.Errorf("%.2f bits a value", bits)
	}
	if headBytes != unsafe.Sizeof(head{}) {
		t.Errorf("a head takes %d bytes", unsafe.Sizeof(head{}))
	}
}
