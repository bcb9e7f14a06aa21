package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// point is one measured size.
type point struct {
	// requests that the process has had.
	requests uint64
	bytes    int64
	entries  uint64
}

// trend is how a size moved from the first point to the last.
type trend struct {
	Name     string `json:"name"`
	Points   int    `json:"points"`
	Requests uint64 `json:"requests"`
	First    int64  `json:"first_bytes"`
	Last     int64  `json:"last_bytes"`
	// PerEntry is what an entry of the ledger takes, and Entries how many came.
	PerEntry float64 `json:"bytes_per_entry"`
	Entries  uint64  `json:"entries_added"`
	// Growth is the slope over all requests, the entries taken off. It is at least Surely with a confidence of 99 %, and
	// that must be within Allowed.
	Growth  int64 `json:"growth_bytes"`
	Surely  int64 `json:"growth_surely_bytes"`
	Allowed int64 `json:"allowed_bytes"`
}

// bound is what a size may grow by without a reason of ours: as many bytes, or that share of its first point if it is more.
//
// Slots and requests in flight are counted, and judged at every rest. Memory is for what nothing counts: a buffer, a timer,
// a future left behind. The least of these takes 64 B. Five minutes are half a million requests to walletd and 200,000 to
// the sidecar process that is judged, so that one such thing left behind by each would be 32 and 13 MB. found says what a
// run could tell, its own scatter included.
type bound struct {
	bytes int64
	share float64
}

var (
	// heapBound: after a collection nothing is left but what is reachable. This is 64 B left behind by one request in 30.
	heapBound = bound{1 << 20, 0.01}
	// residentBound: a collector keeps what it freed for a while, and gives it back in large pieces.
	residentBound = bound{8 << 20, 0.20}
	// sidecarBound: what threads free of each other's is kept by their allocator until they allocate again. One run of four
	// rose by 40 MB towards its end, without a known leak; of its last seven rests alone, 18 MB would count as sure.
	sidecarBound = bound{8 << 20, 0.33}
)

// sure is how many standard deviations a statement with a confidence of 99 % needs on one side.
const sure = 2.33

// trendOf takes off what the ledger may have grown by, and draws the Theil-Sen line (the median slope between all pairs
// of points) through the rest, which no single outlier can bend. How sure that is follows from the points themselves, by
// Sen's interval: sizes that go up and down much, on whatever machine, give a wide one, and only what goes up with few
// exceptions is sure to grow. A step, or growth that ends, leaves too many pairs level to count.
func trendOf(name string, points []point, perEntry float64, may bound) trend {
	t := trend{Name: name, Points: len(points), PerEntry: perEntry}
	if len(points) == 0 {
		return t
	}
	first, last := points[0], points[len(points)-1]
	t.Requests, t.Entries = last.requests-first.requests, last.entries-first.entries
	t.First, t.Last = first.bytes, last.bytes
	// What entries are appended to is grown ahead of them: new ones may take twice what those before them did.
	t.Allowed = max(may.bytes, int64(may.share*float64(first.bytes))) + int64(perEntry*float64(t.Entries))
	rest := func(p point) float64 { return float64(p.bytes) - perEntry*float64(p.entries) }
	var slopes []float64
	apart := middles(points, rest)
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

// mostApart is how many points a trend is drawn through. Sen's interval takes them for independent, but one rest resembles
// the next: a long run has more of them, not more to tell.
const mostApart = 15

// middles are the points, or of more than mostApart the middle one by size of each group of successive ones.
func middles(points []point, size func(point) float64) []point {
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

// surelyAt is the rank of the slope that the true one is above with a confidence of 99 %: without a trend, Kendall's S of
// n points (the pairs that go up less those that go down) has this variance.
func surelyAt(points, slopes int) int {
	n := float64(points)
	deviation := math.Sqrt(n * (n - 1) * (2*n + 5) / 18)
	return max(0, int((float64(slopes)-sure*deviation)/2))
}

// check passes if the growth is not surely beyond the bound, and there were points enough to tell.
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

// found is the least leak that would have been found beside all else, in bytes a request.
func (t trend) found() float64 {
	return math.Ceil(float64(t.Allowed-t.Surely) / max(1, float64(t.Requests)))
}

func mega(n int64) float64 { return float64(n) / 1e6 }
