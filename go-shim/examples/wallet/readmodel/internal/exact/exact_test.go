package exact

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

var always = Window{ledger.MinTimeUS, ledger.MaxTimeUS + 1}

// booked returns the log of an account with these amounts, at the times 0, 1, 2, … µs. Every third entry has no
// counterparty.
func booked(t *testing.T, amounts []int64) (versions.Log, *versions.Version) {
	t.Helper()
	l := versions.New()
	for n, amount := range amounts {
		counterparty := ""
		if n%3 != 0 {
			counterparty = fmt.Sprintf("c%d", n%70)
		}
		l.Apply(&walletv1.Transaction{Position: uint64(n + 1), OccurredAtUs: int64(n), Entries: []*walletv1.Entry{
			{AccountId: "a", Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: counterparty},
			{AccountId: "a", Asset: "GBP", Amount: 9, Phase: walletv1.Phase_PHASE_HOLD, Counterparty: "held"},
		}})
	}
	account, _ := l.Newest().Account("a", l.Newest().Position)
	held, ok := account.Holding("GBP")
	if !ok {
		t.Fatal("no log")
	}
	return held.Log, l.Newest()
}

func someAmounts(random *rand.Rand, n int, most int64) []int64 {
	amounts := make([]int64, n)
	for i := range amounts {
		amounts[i] = 1 + random.Int64N(most)
		if random.IntN(2) == 0 {
			amounts[i] = -amounts[i]
		}
	}
	return amounts
}

func TestDeviationsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const most = ledger.MaxAmount
	cases := [][]int64{{7}, {1, 2}, {1, 3}, {1, 4}, {most, -most}, {most, -most + 1}, slices.Repeat([]int64{-most}, 500),
		slices.Repeat([]int64{most, -most}, 1500), {most, most - 1}, slices.Repeat([]int64{most, most - 1}, 900)}
	for range 60 {
		cases = append(cases, someAmounts(random, 1+random.IntN(3000), []int64{3, 1000, most}[random.IntN(3)]))
	}
	for _, amounts := range cases {
		log, v := booked(t, amounts)
		sum := Summarize(log, always, nil, v.Ids())
		n, total, squares := big.NewInt(int64(len(amounts))), new(big.Int), new(big.Int)
		for _, amount := range amounts {
			x := big.NewInt(amount)
			total.Add(total, x)
			squares.Add(squares, new(big.Int).Mul(x, x))
		}
		radicand := squares.Mul(squares, n)
		radicand.Sub(radicand, new(big.Int).Mul(total, total))
		want := radicand.Sqrt(radicand).Quo(radicand, n).Int64()
		if got := sum.Stddev(); got != want || sum.Sums.Net().Big().Cmp(total) != 0 {
			t.Errorf("%d amounts: deviation %d, want %d; net %v, want %v", len(amounts), got, want, sum.Sums.Net().Big(), total)
		}
	}
}

func TestWideProductsAndDifferences(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	toBig := func(w wide) *big.Int {
		v := new(big.Int)
		for i := len(w) - 1; i >= 0; i-- {
			v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(w[i]))
		}
		return v
	}
	for range 2000 {
		high, low, n := random.Uint64(), random.Uint64(), random.Uint64()
		if random.IntN(4) == 0 {
			high, low = math.MaxUint64, math.MaxUint64
		}
		v := wide{low, high}
		big128, bigN := toBig(v), new(big.Int).SetUint64(n)
		if got, want := toBig(square(high, low)), new(big.Int).Mul(big128, big128); got.Cmp(want) != 0 {
			t.Fatalf("%v² is %v, not %v", big128, want, got)
		}
		product := v.plus(high, low).times(n)
		want := new(big.Int).Add(big128, big128)
		if want.Mul(want, bigN); toBig(product).Cmp(want) != 0 {
			t.Fatalf("2*%v*%v is %v, not %v", big128, bigN, want, toBig(product))
		}
		if n > 0 && (toBig(product.minus(v)).Cmp(want.Sub(want, big128)) != 0 || product.less(v) || !v.less(product)) {
			t.Fatalf("%v - %v is not %v", product, v, product.minus(v))
		}
	}
}

// TestRanksAreThoseOfSorting compares with sorting, also for orders that are bad for quickselect.
func TestRanksAreThoseOfSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 2, 23, 24, 25, 31, 32, 100, 5000} {
		shapes := map[string]func(i int) int64{
			"random": func(int) int64 { return random.Int64N(1 << 40) }, "few": func(int) int64 { return random.Int64N(3) },
			"equal": func(int) int64 { return 5 }, "up": func(i int) int64 { return int64(i) },
			"down": func(i int) int64 { return int64(n - i) }, "pipe": func(i int) int64 { return int64(min(i, n-i)) },
			"one low": func(i int) int64 { return int64(min(i, 1)) }, "saw": func(i int) int64 { return int64(i % 31) },
		}
		for shape, value := range shapes {
			sizes := make([]int64, n)
			for i := range sizes {
				sizes[i] = value(i)
			}
			sorted := slices.Sorted(slices.Values(sizes))
			percentiles := []uint32{10_000, 1, 5000, 9500, 9900, 1 + random.Uint32N(9999)}
			if n == 100 {
				percentiles = nil
				for i := range uint32(100) {
					percentiles = append(percentiles, 100*(100-i))
				}
			}
			got := nearestRanks(new(scratch), sizes, percentiles)
			for i, p := range percentiles {
				if want := sorted[(int(p)*n+9999)/10_000-1]; got[i] != want {
					t.Errorf("%s, %d sizes: percentile %d is %d, want %d", shape, n, p, got[i], want)
				}
			}
		}
	}
}

func TestTheLargestComeFirstAndEqualsByName(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	name := func(slot uint32) []byte { return fmt.Appendf(nil, "%d", slot*7919%1000) }
	for _, n := range []int{0, 1, 2, 50, 300} {
		totals := make([]Total, n)
		for i := range totals {
			totals[i] = Total{Slot: uint32(i), sums: [2]ledger.Int128{ledger.Int128Of(random.Int64N(9)), ledger.Int128Of(random.Int64N(9))}}
		}
		sorted := slices.SortedFunc(slices.Values(totals), func(a, b Total) int {
			if bySize := b.size().Cmp(a.size()); bySize != 0 {
				return bySize
			}
			return bytes.Compare(name(a.Slot), name(b.Slot))
		})
		for _, limit := range []int{1, 2, 3, 10, 100} {
			if got := largest(slices.Clone(totals), limit, name); !slices.Equal(got, sorted[:min(n, limit)]) {
				t.Errorf("the first %d of %d: %v, want %v", limit, n, got, sorted[:min(n, limit)])
			}
		}
	}
}

// TestScratchMemoryLeavesNoTrace checks that answers do not depend on earlier ones, although they share pooled tables.
func TestScratchMemoryLeavesNoTrace(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	log, v := booked(t, someAmounts(random, 3000, 100))
	var first []string
	for round := range 3 {
		for width, start := range []int64{0, 10, 2500, 5000} {
			window := Window{start, start + 1 + int64(width)*700}
			var text strings.Builder
			sum := Summarize(log, window, []uint32{5000}, v.Ids())
			fmt.Fprint(&text, sum.Counterparties, sum.Ranked, sum.Count())
			for _, total := range Top(log, window, 100, v.Ids(), v.Name) {
				fmt.Fprintf(&text, " %s:%d", v.Name(total.Slot), total.Count)
			}
			Series(log, window, walletv1.Step_STEP_HOUR, func(before ledger.Int128, first int64, buckets []Bucket) {
				fmt.Fprint(&text, before.Big(), first, len(buckets), buckets[0].Count, buckets[0].Net().Big())
			})
			if first = append(first, text.String()); round > 0 && first[width] != text.String() {
				t.Errorf("window %v: %s, was %s", window, text.String(), first[width])
			}
		}
	}
}
