package budget

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// run asks n times, of a sidecar that fails this share of the hops, and returns how many were forwarded and in vain.
func run(b *Budget, random *rand.Rand, n int, fails float64) (forwarded, vain int) {
	for range n {
		if !b.Allow() {
			continue
		}
		forwarded++
		if random.Float64() < fails {
			vain++
			b.Vain()
		} else {
			b.Success()
		}
	}
	return forwarded, vain
}

func TestHopsInVainAreBounded(t *testing.T) {
	const n = 20_000
	for seed := range uint64(20) {
		for _, fails := range []float64{0, 0.02, 0.05, 0.2, 0.5, 0.9, 1} {
			t.Run(fmt.Sprintf("%d/%v", seed, fails), func(t *testing.T) {
				b, random := New(0.1), rand.New(rand.NewPCG(seed, 1))
				forwarded, vain := run(b, random, n, fails)
				switch {
				case fails <= 0.05 && forwarded < n*9/10:
					t.Errorf("only %d are forwarded, although the share is allowed", forwarded)
				// Ten more may be in vain before anybody knows.
				case vain > n/8+Tokens:
					t.Errorf("%d of %d are in vain", vain, n)
				}
				if fails < 0.2 {
					return
				}
				if !b.Spent() && fails > 0.3 {
					t.Error("not spent")
				}
				// It is well again: a few hundred trials end the restriction.
				if run(b, random, 5000, 0); b.Spent() {
					t.Error("still spent")
				}
			})
		}
	}
}

func TestNoBoundIsNoBound(t *testing.T) {
	b := New(0)
	if forwarded, _ := run(b, rand.New(rand.NewPCG(1, 1)), 1000, 1); forwarded != 1000 || b.Spent() {
		t.Errorf("%d are forwarded", forwarded)
	}
}

func TestItStaysWithinItsBoundsWhoeverCounts(t *testing.T) {
	b := New(1)
	var together sync.WaitGroup
	for g := range 8 {
		together.Go(func() {
			for range 10_000 {
				if g%2 == 0 {
					b.Vain()
				} else {
					b.Success()
				}
				if n := b.tokens.Load(); n < 0 || n > full {
					t.Errorf("%d", n)
				}
			}
		})
	}
	together.Wait()
	if b.Reset(); b.Spent() || !b.Allow() {
		t.Error("not full after a reset")
	}
}
