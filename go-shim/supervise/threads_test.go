package supervise

import (
	"runtime"
	"sync"
)

func hasDeathSignal() bool { return runtime.GOOS == "linux" }

// endThreads makes threads and ends them: a goroutine that ends locked takes its thread with it.
func endThreads(n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(runtime.LockOSThread)
	}
	all.Wait()
}
