package main

import (
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// sides are in the order of the table's columns.
var sides = [2]rig.Mode{rig.Legacy, rig.SidecarMode}

// spent is CPU time of both processes over a stretch.
type spent struct {
	cpu, span time.Duration
	asked     int
}

func (s *spent) merge(other spent) {
	s.cpu += other.cpu
	s.span += other.span
	s.asked += other.asked
}

// perRequest takes off what both processes use without questions: baseline is CPU time per time. It is 0 if nothing
// was asked, and never negative: the accounts have a grain of 10 ms.
func (s spent) perRequest(baseline float64) time.Duration {
	if s.asked == 0 {
		return 0
	}
	own := s.cpu - time.Duration(baseline*float64(s.span))
	return max(0, own/time.Duration(s.asked))
}

// share is CPU time per time.
func (s spent) share() float64 {
	if s.span == 0 {
		return 0
	}
	return float64(s.cpu) / float64(s.span)
}

// measure runs do and reads what both processes have spent on it.
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
