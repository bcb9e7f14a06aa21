package main

import (
	"fmt"
	"slices"
)

// point is one measured size.
type point struct {
	seconds float64
	bytes   int64
	entries uint64
}

// trend is how a size moved from the first point to the last.
type trend struct {
	Name    string  `json:"name"`
	Points  int     `json:"points"`
	Seconds float64 `json:"seconds"`
	First   int64   `json:"first_bytes"`
	Last    int64   `json:"last_bytes"`
	// PerEntry is what an entry of the ledger takes, and Entries how many came.
	PerEntry float64 `json:"bytes_per_entry"`
	Entries  uint64  `json:"entries_added"`
	// Growth is the slope over the whole time, the entries taken off; Allowed is its bound.
	// Room is a part of it: what a collector or an allocator lets garbage take.
	Room    int64 `json:"room_bytes"`
	Growth  int64 `json:"growth_bytes"`
	Allowed int64 `json:"allowed_bytes"`
}

// grain is what a size may move without a reason of ours: allocators give back in large pieces, or later.
const (
	grain      = 8 << 20
	grainShare = 0.10
)

// trendOf takes off what the ledger may have grown by, and draws the Theil-Sen line (the median slope between all pairs
// of points) through the rest, which no single outlier can bend. room is added to what it may grow by.
func trendOf(name string, points []point, perEntry float64, room int64) trend {
	t := trend{Name: name, Points: len(points), PerEntry: perEntry}
	if len(points) == 0 {
		return t
	}
	first, last := points[0], points[len(points)-1]
	t.Seconds, t.First, t.Last = last.seconds-first.seconds, first.bytes, last.bytes
	t.Entries = last.entries - first.entries
	t.Room = room
	t.Allowed = room + max(grain, int64(grainShare*float64(first.bytes)))
	rest := func(p point) float64 { return float64(p.bytes) - perEntry*float64(p.entries) }
	var slopes []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			if b.seconds > a.seconds {
				slopes = append(slopes, (rest(b)-rest(a))/(b.seconds-a.seconds))
			}
		}
	}
	if len(slopes) > 0 {
		slices.Sort(slopes)
		t.Growth = int64(slopes[len(slopes)/2] * t.Seconds)
	}
	return t
}

// check passes if the growth is within the bound and there were points enough to tell.
func (t trend) check() check {
	c := check{
		Name:     "memory: " + t.Name,
		Measured: fmt.Sprintf("%+.1f MB in %.0f s beside the ledger's own, over %d rests", mega(t.Growth), t.Seconds, t.Points),
		Allowed:  fmt.Sprintf("%+.1f MB", mega(t.Allowed)),
		Why: fmt.Sprintf("%.0f MB for what is free and not yet given back, and the larger of %.0f MB and a tenth, which "+
			"allocators keep or give back as they like; %d entries posted meanwhile may take %.0f B each, as those of the ledger "+
			"did at the first rest", mega(t.Room), mega(grain), t.Entries, t.PerEntry),
	}
	c.Passed = t.Points >= leastTrend && t.Growth <= t.Allowed
	if t.Points < leastTrend {
		c.Measured = fmt.Sprintf("only %d samples, %d are needed", t.Points, leastTrend)
	}
	return c
}

func mega(n int64) float64 { return float64(n) / 1e6 }
