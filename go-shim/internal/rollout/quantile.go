package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// infinity is the label of the bucket that counts all observations.
const infinity = "+Inf"

const p99 = 0.99

var (
	// ErrEmpty is the error of Quantile if nothing was observed.
	ErrEmpty = errors.New("the histogram has no observations")
	// ErrBeyond is the error of Quantile if the quantile is above the highest bound.
	ErrBeyond = errors.New("the quantile is above the highest bound of the histogram")
)

type bucket struct{ bound, count float64 }

// Quantile estimates a quantile q, 0 to 1, from a histogram: the number of observations up to each bound, by the bound in
// seconds, and all of them at "+Inf". It is in seconds, and at least the true quantile's bucket begins. With ErrBeyond it
// is the highest bound.
//
// The formula is that of histogram_quantile in Prometheus (promql/quantile.go, bucketQuantile): observations are taken to
// be spread evenly over their bucket, and the first bucket to begin at 0. The error is at most the width of the bucket.
func Quantile(q float64, histogram map[string]uint64) (float64, error) {
	total := float64(histogram[infinity])
	if total == 0 {
		return 0, ErrEmpty
	}
	var buckets []bucket
	for label, n := range histogram {
		bound, err := strconv.ParseFloat(label, 64)
		if err != nil {
			return 0, fmt.Errorf("bound %q: %w", label, err)
		}
		if !math.IsInf(bound, 1) {
			buckets = append(buckets, bucket{bound, float64(n)})
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
	rank, before := q*total, bucket{}
	for _, b := range buckets {
		// Replicas with other bounds could make a sum that falls. Prometheus takes the highest so far as well.
		b.count = max(b.count, before.count)
		if b.count >= rank && b.count > before.count {
			return before.bound + (b.bound-before.bound)*(rank-before.count)/(b.count-before.count), nil
		}
		before = b
	}
	return before.bound, ErrBeyond
}

// ratio is the sidecar's p99 over Go's, for the same requests. It is infinite if the sidecar's is above the highest bound.
// If Go's is, the highest bound stands for it, so that the ratio is too high rather than too low. known is false if there
// is nothing to compare.
func (c *Counts) ratio() (ratio float64, known bool) {
	sidecar, err := Quantile(p99, c.Sidecar)
	if errors.Is(err, ErrBeyond) {
		return math.Inf(1), c.timed() > 0
	}
	legacy, errGo := Quantile(p99, c.Go)
	if err != nil || errGo != nil && !errors.Is(errGo, ErrBeyond) || legacy <= 0 {
		return 0, false
	}
	return sidecar / legacy, true
}
