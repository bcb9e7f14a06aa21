package proc

import (
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestTheTimeOfABusyThreadIsItsOwn(t *testing.T) {
	busy := make(chan int)
	var stop atomic.Bool
	go func() {
		runtime.LockOSThread()
		busy <- syscall.Gettid()
		for spins := 0; !stop.Load(); spins++ {
		}
	}()
	id := <-busy
	defer stop.Store(true)
	for deadline := time.Now().Add(time.Minute); ; {
		threads, err := Threads(os.Getpid())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", threads, err)
		}
		var own, all time.Duration
		for _, one := range threads {
			all += one.CPU
			if one.ID == id {
				own = one.CPU
			}
		}
		if own >= 10*tick {
			if process, err := CPU(os.Getpid()); err != nil || all > process+time.Duration(len(threads))*tick || len(threads) < 2 {
				t.Errorf("%d threads took %v together, the process %v, %v", len(threads), all, process, err)
			}
			return
		}
	}
}

func TestThreadsOfNoProcess(t *testing.T) {
	if _, err := Threads(-1); err == nil {
		t.Error("no error")
	}
	if _, err := MemoryOf(-1); err == nil {
		t.Error("no error")
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	got, err := parseStatus("Name:\tVmRSS: 7 kB\nVmPeak:\t  900 kB\nVmHWM:\t    84 kB\nVmRSS:\t    80 kB\nThreads:\t1\n")
	if want := (Memory{Resident: 80 << 10, Peak: 84 << 10}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS:\t80 kB\n", "VmRSS:\t80\nVmHWM:\t80\n", "VmRSS:\tx kB\nVmHWM:\t80 kB\n"} {
		if got, err := parseStatus(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	own, err := MemoryOf(os.Getpid())
	if err != nil || own.Resident < 1<<20 || own.Peak < own.Resident {
		t.Errorf("%+v, %v", own, err)
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(text), "VmHWM") {
		t.Errorf("%v: this kernel does not say how much memory a process had", err)
	}
}
