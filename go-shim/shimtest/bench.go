package shimtest

import (
	"syscall"
	"testing"
)

// ProcessTime is the CPU time that this process has used, in nanoseconds, of user and system together.
func ProcessTime(tb testing.TB) int64 {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
