package exact

import (
	"math/bits"
	"slices"

	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// nearestRanks reorders sizes, of which there is at least one. Percentile p of n is the ceil(p*n/10,000)-th smallest.
func nearestRanks(memory *scratch, sizes []int64, percentiles []uint32) []int64 {
	ranks := room(&memory.ranks, len(percentiles))
	for i, p := range percentiles {
		ranks[i] = (int(p)*len(sizes)+ledger.MaxBasisPoints-1)/ledger.MaxBasisPoints - 1
	}
	slices.Sort(ranks)
	place(sizes, slices.Compact(ranks), 0)
	values := make([]int64, len(percentiles))
	for i, p := range percentiles {
		values[i] = sizes[(int(p)*len(sizes)+ledger.MaxBasisPoints-1)/ledger.MaxBasisPoints-1]
	}
	return values
}

// place puts the values of the ascending, distinct ranks where sorting would; sizes starts at rank first. The middle
// rank goes first, so that each half is left with half of the ranks.
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

// smallest is what sorting does best.
const smallest = 24

// choose puts the value of one rank where sorting would, smaller ones before and larger ones behind it: quickselect,
// which sorts when pivots keep failing, so that no order of the entries takes long.
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
			// The pivot is the least: all that are equal to it are in place.
			equal := partition(sizes, pivot+1)
			if at < equal {
				return
			}
			sizes, at = sizes[equal:], at-equal
		}
	}
	slices.Sort(sizes)
}

// partition moves what is below the pivot to the front and counts it. There is no branch to predict: every element is
// swapped, and the border moves or not.
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

// sampled is how many elements a pivot is chosen from.
const sampled = 31

// guess is an element that is likely to be at, or close to, the rank: that of a sample. Aiming at the rank rather than
// at the middle leaves little on its side.
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
