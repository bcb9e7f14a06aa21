// Package burner uses a known CPU time, by arithmetic that nothing can shorten. The Rust burner (rust-hotpath/burner of the
// repository) runs the same loop; each process finds out by itself how long a step takes.
package burner

import (
	"runtime"
	"time"
)

// MaxWorkNS is the most that may be burnt at once.
const MaxWorkNS = 100_000_000

// Knuth's constants for MMIX: each step needs the one before, so a core can't do two at once.
const (
	factor  = 6364136223846793005
	summand = 1442695040888963407
)

const (
	// timedSteps of a timed run, some 300 µs: short enough that some of the runs are not interrupted.
	timedSteps = 200_000
	// timedRuns is their number: the fastest counts.
	timedRuns = 300
)

// Burner knows how long a step takes in this process.
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

// run must not be inlined: the loop that is timed is the one that burns.
//
//go:noinline
func run(steps uint64) uint64 {
	state := steps
	for range steps {
		state = state*factor + summand
	}
	return state
}
