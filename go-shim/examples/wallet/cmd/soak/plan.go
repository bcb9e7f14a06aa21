package main

import "time"

// fault is what happens to the sidecar during a stretch of load.
type fault string

const (
	noFault fault = "none"
	kills   fault = "kill"
	stops   fault = "stop"
)

// plan says how long each stretch of load is, and what happens in it.
type plan struct {
	// load is the least length of the load in a stretch. A fault may take longer.
	load time.Duration
	// faults has the faults of the first stretches, including warm-up. After them, rotation repeats.
	faults, rotation []fault
	// times is how often the fault happens in its stretch.
	times int
	// stopped is how long a sidecar stays stopped.
	stopped time.Duration
	// trend says that the trend of memory is checked.
	trend bool
}

// planFor returns the plan. It has kills in the first half only, because a trend of the sidecar's memory needs one
// process that lives on. There are more faults of each kind than tolerated goroutines or files, so that a leak of one
// per fault shows.
func planFor(c config) plan {
	if c.brief {
		return plan{
			load: 1500 * time.Millisecond, faults: []fault{noFault, kills, stops}, times: 1, stopped: time.Second,
		}
	}
	return plan{
		load: 13 * time.Second, faults: []fault{noFault, kills, stops, kills, stops, kills, stops},
		rotation: []fault{noFault, stops}, times: 2, stopped: 3 * time.Second, trend: true,
	}
}

// at returns the fault of stretch n.
func (p plan) at(n int) fault {
	if n < len(p.faults) {
		return p.faults[n]
	}
	return p.rotation[(n-len(p.faults))%len(p.rotation)]
}

// warmUp is the first stretch in walletd's trends. By then each kind of fault has happened, so everything that is kept
// for reuse has reached its size.
const warmUp = 3

// settledAfter and settledRequests are how many stretches and requests a sidecar process serves before its trend
// begins, because its threads and its allocator's caches grow with the load. On a slow machine the requests take more
// stretches.
const (
	settledAfter    = 2
	settledRequests = 100_000
)

// leastTrend is the smallest number of samples for a trend.
const leastTrend = 8

// brokenAfter is how many sidecars a run may lose after the last kill. Then it no longer waits for one that lives on.
const brokenAfter = 5

// lastKill returns the last stretch in which the sidecar is killed.
func (p plan) lastKill() int {
	last := 0
	for n, f := range p.faults {
		if f == kills {
			last = n
		}
	}
	return last
}

// enough returns whether the run may end after these quiet samples. On a slow machine a run takes longer, so that it
// has enough samples.
func (p plan) enough(quiet []sample, elapsed, lasts time.Duration) bool {
	if len(quiet) < len(p.faults) {
		return false
	}
	lost := quiet[len(quiet)-1].shim.Restarts - quiet[p.lastKill()].shim.Restarts
	return !p.trend || elapsed >= lasts && (lost >= brokenAfter || len(settled(quiet, p.lastKill())) >= leastTrend)
}
