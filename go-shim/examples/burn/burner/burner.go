// Package burner uses a requested amount of CPU time, with arithmetic that neither compiler nor CPU can shorten. The
// Rust burner (rust-hotpath/burner in the repository) runs the same loop. Each process measures for itself how long a
// step takes.
package burner

import (
	"runtime"
	"time"
)

// MaxWorkNS is the largest work of one call, in nanoseconds.
const MaxWorkNS = 100_000_000

// These are Knuth's constants for MMIX. Each step needs the result of the one before, so a core can't overlap two
// steps.
const (
	factor  = 6364136223846793005
	summand = 1442695040888963407
)

const (
	// timedSteps is how many steps a timed run has. It takes some 300 µs: short enough that some of the runs are not
	// interrupted.
	timedSteps = 200_000
	// timedRuns is the number of timed runs. The fastest counts.
	timedRuns = 300
)

// Burner burns CPU time, at the speed that was measured in this process.
type Burner struct{ stepsPerNS float64 }

// New times the loop, which takes about 0.1 s.
func New() Burner {
	fastest := time.Hour
	for range timedRuns {
		begun := time.Now()
		runtime.KeepAlive(run(timedSteps))
		fastest = min(fastest, time.Since(begun))
	}
	return timed(timedSteps, fastest)
}

func timed(steps uint64, took time.Duration) Burner {
	return Burner{float64(steps) / float64(max(took.Nanoseconds(), 1))}
}

// Burn uses workNS nanoseconds of CPU.
func (b Burner) Burn(workNS uint32) { runtime.KeepAlive(run(b.steps(workNS))) }

func (b Burner) steps(workNS uint32) uint64 { return uint64(float64(workNS) * b.stepsPerNS) }

// run must not be inlined, so that New times the same machine code that Burn runs.
//
//go:noinline
func run(steps uint64) uint64 {
	state := steps
	for range steps {
		state = state*factor + summand
	}
	return state
}
