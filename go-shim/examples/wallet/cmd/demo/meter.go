package main

import (
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// sides lists the modes in the order of the table's columns.
var sides = [2]rig.Mode{rig.Legacy, rig.SidecarMode}

// spent is the CPU time that both processes used in a time span, and the number of questions in it.
type spent struct {
	cpu, span time.Duration
	asked     int
}

func (s *spent) merge(other spent) {
	s.cpu += other.cpu
	s.span += other.span
	s.asked += other.asked
}

// perRequest returns the CPU time per request, less what both processes use without questions. baseline is that CPU
// time as a share of the time. The result is 0 if nothing was asked. It is never negative: the kernel counts in units
// of 10 ms, so the difference could be.
func (s spent) perRequest(baseline float64) time.Duration {
	if s.asked == 0 {
		return 0
	}
	own := s.cpu - time.Duration(baseline*float64(s.span))
	return max(0, own/time.Duration(s.asked))
}

// share returns the CPU time as a share of the time span. 1 is one busy core.
func (s spent) share() float64 {
	if s.span == 0 {
		return 0
	}
	return float64(s.cpu) / float64(s.span)
}

// measure runs do, which returns a number of questions, and returns the CPU time that the processes used meanwhile.
func measure(pids []int, do func() int) (spent, error) {
	before, err := proc.CPU(pids...)
	if err != nil {
		return spent{}, err
	}
	start := time.Now()
	asked := do()
	span := time.Since(start)
	after, err := proc.CPU(pids...)
	if err != nil {
		return spent{}, err
	}
	return spent{after - before, span, asked}, nil
}
