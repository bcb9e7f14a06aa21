package exact

import (
	"math/bits"
	"slices"

	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// nearestRanks returns the percentiles, which are in basis points. Percentile p of n sizes is the ceil(p*n/10,000)-th
// smallest. It reorders sizes, and needs at least one.
func nearestRanks(memory *scratch, sizes []int64, percentiles []uint32) []int64 {
	ranks := room(&memory.ranks, len(percentiles))
	for i, p := range percentiles {
		ranks[i] = nearestRank(p, len(sizes))
	}
	slices.Sort(ranks)
	place(sizes, slices.Compact(ranks), 0)
	values := make([]int64, len(percentiles))
	for i, p := range percentiles {
		values[i] = sizes[nearestRank(p, len(sizes))]
	}
	return values
}

// nearestRank returns the rank, counted from 0, of a percentile of so many numbers.
func nearestRank(percentile uint32, count int) int {
	return (int(percentile)*count+ledger.MaxBasisPoints-1)/ledger.MaxBasisPoints - 1
}

// place moves the values of some ranks to where sorting would put them. ranks must be ascending and distinct; sizes[0]
// has rank first. The middle rank is placed first, so that each side then has half of the other ranks.
func place(sizes []int64, ranks []int, first int) {
	if len(ranks) == 0 || len(sizes) < 2 {
		return
	}
	middle := len(ranks) / 2
	at := ranks[middle] - first
	choose(sizes, at)
	place(sizes[:at], ranks[:middle], first)
	place(sizes[at+1:], ranks[middle+1:], first+at+1)
}

// smallest is the length up to which sorting is faster than selection.
const smallest = 24

// choose moves the value of one rank to where sorting would put it, smaller values before it and larger ones behind it.
// This is quickselect. It sorts if pivots keep failing, so that no order of the entries takes long.
func choose(sizes []int64, at int) {
	for limit := 2 * bits.Len(uint(len(sizes))); len(sizes) > smallest && limit > 0; limit-- {
		pivot := guess(sizes, at)
		below := partition(sizes, pivot)
		switch {
		case at < below:
			sizes = sizes[:below]
		case below > 0:
			sizes, at = sizes[below:], at-below
		default:
			// Nothing is below the pivot. The values that equal it move to the front, where sorting would put them.
			equal := partition(sizes, pivot+1)
			if at < equal {
				return
			}
			sizes, at = sizes[equal:], at-equal
		}
	}
	slices.Sort(sizes)
}

// partition moves the values below the pivot to the front and returns their number. It has no branch that a processor
// must predict: every element is swapped, and the border moves by 0 or 1.
func partition(sizes []int64, pivot int64) int {
	below := 0
	for i, size := range sizes {
		sizes[i] = sizes[below]
		sizes[below] = size
		isBelow := 0
		if size < pivot {
			isBelow = 1
		}
		below += isBelow
	}
	return below
}

// sampled is the number of elements from which guess chooses a pivot.
const sampled = 31

// guess returns an element that is likely to be at the rank or close to it: the one at that part of a sorted sample. A
// pivot near the rank, not in the middle, leaves few elements to search.
func guess(sizes []int64, at int) int64 {
	var sample [sampled]int64
	step := len(sizes) / sampled
	if step == 0 {
		return sizes[len(sizes)/2]
	}
	for i := range sample {
		sample[i] = sizes[i*step+step/2]
	}
	for i := 1; i < sampled; i++ {
		for j := i; j > 0 && sample[j] < sample[j-1]; j-- {
			sample[j], sample[j-1] = sample[j-1], sample[j]
		}
	}
	return sample[at*sampled/len(sizes)]
}
