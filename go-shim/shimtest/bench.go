package shimtest

import (
	"syscall"
	"testing"
)

// ProcessTime returns the CPU time that this process has used, user and system together, in nanoseconds.
func ProcessTime(tb testing.TB) int64 {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
