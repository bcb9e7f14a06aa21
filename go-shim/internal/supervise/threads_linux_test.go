package supervise

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// withoutParents are sidecars that must not outlive their parents: one reads its lifeline, and only the kernel ends the
// other.
func withoutParents() []string { return []string{"sidecar", "deaf"} }

// answering is a deaf sidecar that answers SIGUSR1 by removing its ready file.
func answering() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		<-asked
		_ = os.Remove(os.Getenv("HOTPATH_TEST_DIR") + "/ready")
	}()
	sidecar(false)
}

// endThreads makes threads and waits for their end: a goroutine that ends locked takes its thread with it.
func endThreads(t *testing.T, n int) {
	var all sync.WaitGroup
	threads := make([]int, n)
	together := make(chan struct{})
	for i := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			threads[i] = syscall.Gettid()
			<-together
		})
	}
	close(together)
	all.Wait()
	for _, thread := range threads {
		// The main thread is kept by the runtime.
		if thread == os.Getpid() {
			continue
		}
		eventually(t, "the thread has ended", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
			return os.IsNotExist(err)
		})
	}
}

// A thread that ends must not take the sidecar with it: PDEATHSIG belongs to the thread that forked.
func TestSidecarOutlivesOtherThreads(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOTPATH_TEST_DIR", dir)
	s := start(t, "answering", func(c *Config) { c.ReadyFile = dir + "/ready" })
	pid, _ := ready(t, s.cfg.ReadyFile, 0)
	eventually(t, "its pid is known", func() bool { return s.PID() == pid })
	endThreads(t, 200)
	// A SIGKILL that is on its way arrives before a signal that is sent later.
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it answers", func() bool {
		_, err := os.Stat(s.cfg.ReadyFile)
		if s.PID() != pid {
			t.Fatal("it died with a thread of its living parent")
		}
		return os.IsNotExist(err)
	})
}
