package main

import (
	"fmt"
	"slices"
	"time"
)

// times are how long things took.
type times []time.Duration

// latency sums up times, in microseconds.
type latency struct {
	Count int     `json:"count"`
	Min   float64 `json:"min_us"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

// latency sorts the times.
func (t times) latency() latency {
	if len(t) == 0 {
		return latency{}
	}
	slices.Sort(t)
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return latency{
		Count: len(t), Min: us(t[0]), P50: us(t.quantile(5_000)), P99: us(t.quantile(9_900)), P999: us(t.quantile(9_990)),
		Max: us(t[len(t)-1]),
	}
}

// quantile is the nearest-rank quantile, in basis points, of sorted times.
func (t times) quantile(basisPoints int) time.Duration {
	rank := (len(t)*basisPoints + 9_999) / 10_000
	return t[max(rank, 1)-1]
}

// span formats microseconds with three digits.
func span(us float64) string {
	for _, unit := range []struct {
		us   float64
		name string
	}{{1e6, "s"}, {1e3, "ms"}} {
		if us >= unit.us*0.9995 {
			return fmt.Sprintf("%.3g %s", us/unit.us, unit.name)
		}
	}
	return fmt.Sprintf("%.3g µs", us)
}
