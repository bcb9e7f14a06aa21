package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// point is one measured size.
type point struct {
	// requests is how many requests the process has had.
	requests uint64
	bytes    int64
	entries  uint64
}

// trend says how a size changed from the first point to the last.
type trend struct {
	Name     string `json:"name"`
	Points   int    `json:"points"`
	Requests uint64 `json:"requests"`
	First    int64  `json:"first_bytes"`
	Last     int64  `json:"last_bytes"`
	// PerEntry is the size of an entry of the ledger. Entries is how many entries were added.
	PerEntry float64 `json:"bytes_per_entry"`
	Entries  uint64  `json:"entries_added"`
	// Growth is the slope times all requests, without the growth by entries. With a confidence of 99 % the true growth
	// is at least Surely. Surely must not exceed Allowed.
	Growth  int64 `json:"growth_bytes"`
	Surely  int64 `json:"growth_surely_bytes"`
	Allowed int64 `json:"allowed_bytes"`
}

// bound is the growth of a size that is allowed although no part of our programs explains it: bytes, or share of the
// size at the first point, whichever is more.
//
// Slots and requests in flight are counted and checked at every rest. Memory shows leaks of things that nothing counts,
// for example a buffer, a timer or a future. The smallest of these takes 64 B. In five minutes walletd gets half a
// million requests, and the checked sidecar process 200,000. If each request leaked one such thing, that would be 32
// and 13 MB. The method found says how small a leak a run could have found, given its own scatter.
type bound struct {
	bytes int64
	share float64
}

var (
	// heapBound is small, because after a garbage collection only reachable memory is left. It equals 64 B leaked by
	// one request in 30.
	heapBound = bound{1 << 20, 0.01}
	// residentBound is larger, because Go's runtime keeps freed memory for a while and returns it in large pieces.
	residentBound = bound{8 << 20, 0.20}
	// sidecarBound is larger, because the allocator keeps memory that one thread allocated and another freed until the
	// first allocates again. In one run of four the size rose by 40 MB towards the end, without a known leak. Computed
	// from the last seven rests of that run alone, Surely would be 18 MB.
	sidecarBound = bound{8 << 20, 0.33}
)

// sure is the number of standard deviations for a one-sided confidence of 99 %.
const sure = 2.33

// trendOf returns the trend of some points. It subtracts the growth by entries of the ledger and fits a Theil-Sen line
// (the median slope between all pairs of points) to the rest. No single outlier can change that much.
//
// Surely comes from the points themselves, by Sen's confidence interval. Sizes that go up and down much, on any
// machine, give a wide interval. So only a size that goes up with few exceptions surely grows. After a step, or growth
// that ends, too many pairs of points have the same size.
func trendOf(name string, points []point, perEntry float64, may bound) trend {
	t := trend{Name: name, Points: len(points), PerEntry: perEntry}
	if len(points) == 0 {
		return t
	}
	first, last := points[0], points[len(points)-1]
	t.Requests, t.Entries = last.requests-first.requests, last.entries-first.entries
	t.First, t.Last = first.bytes, last.bytes
	// Go grows slices and maps ahead of their use. So a new entry may take twice as much memory as PerEntry.
	t.Allowed = max(may.bytes, int64(may.share*float64(first.bytes))) + int64(perEntry*float64(t.Entries))
	rest := func(p point) float64 { return float64(p.bytes) - perEntry*float64(p.entries) }
	var slopes []float64
	apart := groupMedians(points, rest)
	for i, a := range apart {
		for _, b := range apart[i+1:] {
			if b.requests > a.requests {
				slopes = append(slopes, (rest(b)-rest(a))/float64(b.requests-a.requests))
			}
		}
	}
	if len(slopes) > 0 {
		slices.Sort(slopes)
		t.Growth = int64(slopes[len(slopes)/2] * float64(t.Requests))
		t.Surely = int64(slopes[surelyAt(len(apart), len(slopes))] * float64(t.Requests))
	}
	return t
}

// mostApart is the largest number of points to which a line is fitted. Sen's interval assumes that points are
// independent, but one rest resembles the next. So a long run has more points but hardly more information.
const mostApart = 15

// groupMedians returns the points if there are at most mostApart. Otherwise it divides them into mostApart groups of
// successive points and returns the median, by size, of each group.
func groupMedians(points []point, size func(point) float64) []point {
	if len(points) <= mostApart {
		return points
	}
	var all []point
	for i := range mostApart {
		group := slices.Clone(points[i*len(points)/mostApart : (i+1)*len(points)/mostApart])
		slices.SortFunc(group, func(a, b point) int { return cmp.Compare(size(a), size(b)) })
		all = append(all, group[len(group)/2])
	}
	return all
}

// surelyAt returns the rank of the slope below the true one with a confidence of 99 %. It uses the variance of
// Kendall's S (the pairs of points that go up less those that go down) of n points without a trend.
func surelyAt(points, slopes int) int {
	n := float64(points)
	deviation := math.Sqrt(n * (n - 1) * (2*n + 5) / 18)
	return max(0, int((float64(slopes)-sure*deviation)/2))
}

// check passes if there are enough points and Surely does not exceed Allowed.
func (t trend) check() check {
	c := check{
		Name: "memory: " + t.Name,
		Measured: fmt.Sprintf("%+.1f MB, at least %+.1f MB, in %d requests beside the ledger's own, over %d rests",
			mega(t.Growth), mega(t.Surely), t.Requests, t.Points),
		Allowed: fmt.Sprintf("at least %+.1f MB, exceeded by a leak of %.0f B a request", mega(t.Allowed), t.found()),
		Why: fmt.Sprintf("at least: with a confidence of 99 %%; %d entries posted meanwhile may take twice the %.0f B each that "+
			"those of the ledger did at the first rest", t.Entries, t.PerEntry),
	}
	c.Passed = t.Points >= leastTrend && t.Surely <= t.Allowed
	if t.Points < leastTrend {
		c.Measured = fmt.Sprintf("only %d samples, %d are needed", t.Points, leastTrend)
	}
	return c
}

// found returns the smallest leak that this run would have found, in bytes per request.
func (t trend) found() float64 {
	return math.Ceil(float64(t.Allowed-t.Surely) / max(1, float64(t.Requests)))
}

func mega(n int64) float64 { return float64(n) / 1e6 }
