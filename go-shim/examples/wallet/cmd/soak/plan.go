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
	// load is the least length of a stretch; a fault may need longer.
	load time.Duration
	// faults of the first stretches, warm-up included. After them comes rotation, again and again.
	faults, rotation []fault
	// times is how often a fault happens in its stretch.
	times int
	// stopped is how long a stopped sidecar stays so.
	stopped time.Duration
	// trend says that memory is judged.
	trend bool
}

// planFor kills the sidecar in the first half only: a trend of its memory needs one process that lives on. There are
// more faults of each kind than tolerated goroutines or files, so that a leak of one per fault shows.
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

// at is the fault of stretch n.
func (p plan) at(n int) fault {
	if n < len(p.faults) {
		return p.faults[n]
	}
	return p.rotation[(n-len(p.faults))%len(p.rotation)]
}

// warmUp is the first stretch that the trend of walletd counts: by then each fault has happened once, so that whatever
// is kept for reuse has its size.
const warmUp = 3

// settledAfter and settledRequests are how many stretches and requests a sidecar process serves before the trend counts it:
// its threads and the caches of its allocator come with the load. Those of a slow machine take more stretches.
const (
	settledAfter    = 2
	settledRequests = 100_000
)

// leastTrend is the fewest samples that make a trend.
const leastTrend = 8

// brokenAfter is how many sidecars are lost after the last kill before a run no longer waits for one that lives.
const brokenAfter = 5

// lastKill is the last stretch in which the sidecar is killed.
func (p plan) lastKill() int {
	last := 0
	for n, f := range p.faults {
		if f == kills {
			last = n
		}
	}
	return last
}

// enough is true if the run may end after these rests. A slow machine takes longer rather than being judged by less.
func (p plan) enough(quiet []sample, elapsed, lasts time.Duration) bool {
	if len(quiet) < len(p.faults) {
		return false
	}
	lost := quiet[len(quiet)-1].shim.Restarts - quiet[p.lastKill()].shim.Restarts
	return !p.trend || elapsed >= lasts && (lost >= brokenAfter || len(settled(quiet, p.lastKill())) >= leastTrend)
}
