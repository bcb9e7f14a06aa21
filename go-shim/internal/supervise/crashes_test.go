package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	loops = "the sidecar keeps ending, and is started again only after long waits until it has been up for a while"
	slow  = "the sidecar has ended once more; starting it again later"
)

// looping is a supervised sidecar that ends each time, until its file says otherwise.
type looping struct {
	*given
	inLoop atomic.Bool
}

func crashing(t *testing.T, crashes int) *looping {
	t.Helper()
	l := &looping{given: &given{fakeClock: newFakeClock(), file: filepath.Join(t.TempDir(), "settings")}}
	l.write(t, "1")
	l.Supervisor = startWith(t, l.fakeClock, "permanent", func(c *Config) {
		c.Args, c.Log = []string{"--config", l.file}, slog.New(&l.log)
		c.Crashes, c.CrashLooping, c.Restarted = crashes, l.inLoop.Store, func() { l.restarts.Add(1) }
	})
	return l
}

func TestASidecarThatKeepsEndingIsStartedOnlySlowly(t *testing.T) {
	l := crashing(t, 3)
	for range 2 {
		l.fireWithin(t, minBackoff/2, 2*minBackoff)
	}
	// 30 s, then twice as long each time, up to 5 minutes; half to all of it.
	for n, most := 0, 30*time.Second; n < 6; n, most = n+1, min(2*most, 5*time.Minute) {
		eventually(t, "it waits", func() bool { return l.log.count(loops)+l.log.count(slow) == n+1 })
		if !l.inLoop.Load() || l.restarts.Load() != int64(n+2) {
			t.Fatalf("in a loop: %v, %d restarts", l.inLoop.Load(), l.restarts.Load())
		}
		l.fireWithin(t, most/2, most)
	}
	eventually(t, "it waits once more", func() bool { return l.log.count(slow) == 6 })
	if said := l.log.attribute("said"); l.log.count(loops) != 1 || len(said) != 1 || !strings.Contains(said[0], "must be a number") {
		t.Fatalf("said %q, logged %q", said, l.log.lines)
	}
	// A change of what it starts with ends the wait.
	l.write(t, "good")
	l.fire(t, lookEvery)
	pid, _ := ready(t, l.cfg.ReadyFile, 0)
	for range 59 {
		l.fire(t, lookEvery)
	}
	eventually(t, "it has looked", func() bool { return l.waiting(lookEvery, lookEvery) != nil })
	if !l.inLoop.Load() {
		t.Fatal("the loop is over before a minute is")
	}
	for l.inLoop.Load() {
		l.fire(t, lookEvery)
	}
	// From now on it has the whole budget again.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.fireWithin(t, minBackoff/2, 4*minBackoff)
	ready(t, l.cfg.ReadyFile, pid)
	if l.inLoop.Load() {
		t.Fatal("one end is a loop")
	}
}

func TestEndsThatAreFarApartAreNoLoop(t *testing.T) {
	b := newBudget(Config{Crashes: 3, CrashWindow: time.Minute})
	s := &Supervisor{cfg: Config{Log: slog.New(slog.DiscardHandler)}, budget: b, clock: newFakeClock()}
	for range 20 {
		if s.spend(t.Context(), life{err: errors.New("x")}) {
			t.Fatal("a loop")
		}
		s.clock.(*fakeClock).now = s.clock.Now().Add(31 * time.Second)
	}
}

func TestACrashLoopDoesNotHoldUpClose(t *testing.T) {
	l := crashing(t, 1)
	eventually(t, "it is in a loop", l.inLoop.Load)
	l.Close()
}

func TestASidecarOnTrialIsNotStartedAgain(t *testing.T) {
	for code, want := range map[int]string{3: "exit status 3", 64: "exit status 64"} {
		var restarts atomic.Int64
		ended := make(chan string, 1)
		file := filepath.Join(t.TempDir(), "settings")
		if err := os.WriteFile(file, fmt.Append(nil, code), 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, "permanent", func(c *Config) {
			c.Args, c.Restarted = []string{"--config", file}, func() { restarts.Add(1) }
			c.Ended = func(cause error, said string) bool { ended <- cause.Error() + " " + said; return true }
		})
		if text := <-ended; !strings.HasPrefix(text, want) || !strings.Contains(text, "must be a number") {
			t.Errorf("ended by %q", text)
		}
		<-s.done
		s.Close()
		if restarts.Load() != 0 || s.PID() != 0 {
			t.Errorf("%d restarts", restarts.Load())
		}
	}
}

func TestWhatWasStartedIsKnown(t *testing.T) {
	s := start(t, "sidecar", nil)
	ready(t, s.cfg.ReadyFile, 0)
	if s.Started() == "" || s.Started() != Program(os.Args[0]) || Program("hotpathd-that-nobody-has") != "" {
		t.Errorf("started %q, there is %q", s.Started(), Program(os.Args[0]))
	}
}

// leaving is a sidecar that ends at once and leaves a process behind.
func leaving() {
	left := exec.Command(os.Args[0])
	left.Env = append(os.Environ(), role+"=deaf")
	if err := left.Start(); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("HOTPATH_TEST_DIR"), "left"), fmt.Append(nil, left.Process.Pid), 0o600); err != nil {
		panic(err)
	}
}
