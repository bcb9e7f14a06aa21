package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// given is a supervised sidecar that exits with the code in a file that its arguments name.
type given struct {
	*Supervisor
	*fakeClock
	log      recorder
	file     string
	gaveUp   atomic.Bool
	restarts atomic.Int64
}

func ending(t *testing.T, code int) *given {
	t.Helper()
	g := &given{fakeClock: newFakeClock(), file: filepath.Join(t.TempDir(), "settings")}
	g.write(t, fmt.Sprint(code))
	g.Supervisor = startWith(t, g.fakeClock, "permanent", func(c *Config) {
		c.Args, c.Log = []string{"--config", g.file}, slog.New(&g.log)
		c.GaveUp, c.Restarted = g.gaveUp.Store, func() { g.restarts.Add(1) }
	})
	return g
}

func (g *given) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(g.file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(g.file+".new", g.file); err != nil {
		t.Fatal(err)
	}
}

const cannotStart = "the sidecar cannot start, and is not started again until its program, or a file or folder that its settings name, changes"

func TestASidecarThatCannotHealIsNotStartedAgainUntilItsSettingsChange(t *testing.T) {
	g := ending(t, 64)
	for n := 1; n <= 2; n++ {
		eventually(t, "it is given up", g.gaveUp.Load)
		for range 100 {
			g.fire(t, lookEvery)
		}
		if g.log.count(cannotStart) != n || len(g.log.causes()) != 0 || g.restarts.Load() != int64(n-1) {
			t.Fatalf("%d restarts, logged %q", g.restarts.Load(), g.log.lines)
		}
		if n == 1 {
			g.write(t, "78")
			g.fire(t, lookEvery)
			eventually(t, "it is tried again", func() bool { return g.log.count(cannotStart) == 2 })
		}
	}
	codes, said := g.log.attribute("exit_code"), g.log.attribute("said")
	if codes[0] != "64" || codes[1] != "78" || !strings.HasSuffix(said[0], "\n  env HOTPATHD_THREADS: must be a number") {
		t.Fatalf("codes %q, said %q", codes, said)
	}
	g.write(t, "good")
	g.fire(t, lookEvery)
	ready(t, g.cfg.ReadyFile, 0)
	if g.gaveUp.Load() {
		t.Fatal("it runs, and counts as given up")
	}
}

func TestAGivenUpSidecarIsStartedByRestart(t *testing.T) {
	g := ending(t, 70)
	eventually(t, "it is given up", g.gaveUp.Load)
	g.Restart("somebody knows better")
	eventually(t, "it is tried again", func() bool { return g.log.count(cannotStart) == 2 })
	if g.restarts.Load() != 1 {
		t.Fatalf("%d restarts", g.restarts.Load())
	}
}

func TestAGivenUpSidecarDoesNotHoldUpClose(t *testing.T) {
	g := ending(t, 77)
	eventually(t, "it is given up", g.gaveUp.Load)
	g.Close()
}

func TestWhatMayHealIsStartedAgain(t *testing.T) {
	for _, code := range []int{1, 63, 69, 71, 75, 79, 101} {
		g := ending(t, code)
		eventually(t, "it is started again", func() bool { return len(g.log.causes()) == 1 })
		g.fireWithin(t, minBackoff/2, minBackoff)
		eventually(t, "and again", func() bool { return len(g.log.causes()) == 2 })
		if g.gaveUp.Load() {
			t.Errorf("code %d: given up", code)
		}
		g.Close()
	}
}

func TestTheCodesThatCannotHeal(t *testing.T) {
	for code := range 256 {
		err := exec.Command("sh", "-c", fmt.Sprint("exit ", code)).Run()
		want := code >= 64 && code <= 78 && code != 69 && code != 71 && code != 75
		if got, permanent := permanent(err); permanent != want || want && got != code {
			t.Errorf("%d: %d, %v", code, got, permanent)
		}
	}
}

func TestWhatCountsAsAChange(t *testing.T) {
	dir := t.TempDir()
	program, named, folder := filepath.Join(dir, "program"), filepath.Join(dir, "named"), filepath.Join(dir, "folder")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(program, "a")
	t.Setenv("HOTPATHD_CONFIG", named)
	s := &Supervisor{path: program, cfg: Config{Args: []string{"--wal=" + filepath.Join(folder, "x")},
		Socket: filepath.Join(dir, "s"), ReadyFile: filepath.Join(dir, "s.ready")}}
	before := s.configuration()
	for _, step := range []struct {
		what    string
		do      func()
		changes bool
	}{
		{"nothing", func() {}, false},
		{"another file beside it", func() { put(filepath.Join(dir, "other"), "x") }, false},
		{"a ready file", func() { put(filepath.Join(dir, "s.ready"), "x") }, false},
		{"the program's length", func() { put(program, "ab") }, true},
		{"the program's time", func() { _ = os.Chtimes(program, time.Unix(1, 0), time.Unix(1, 0)) }, true},
		{"a file of the environment", func() { put(named, "x") }, true},
		{"its mode", func() { _ = os.Chmod(named, 0o600) }, true},
		{"the folder of an argument", func() { _ = os.Mkdir(folder, 0o700) }, true},
		{"what is in the socket's way", func() { put(filepath.Join(dir, "s"), "x") }, true},
		{"the environment", func() { t.Setenv("HOTPATHD_THREADS", "3") }, true},
	} {
		step.do()
		after := s.configuration()
		if (before != after) != step.changes {
			t.Errorf("%s: a change: %v", step.what, before != after)
		}
		before = after
	}
}

// A program that cleans up old files may remove the socket. The sidecar behind it lives on, but nobody can reach it.
func TestASidecarWithoutSocketAndConnectionIsReplaced(t *testing.T) {
	var log recorder
	var connected atomic.Bool
	connected.Store(true)
	clock := newFakeClock()
	s := startWith(t, clock, "sidecar", func(c *Config) { c.Log, c.Connected = slog.New(&log), connected.Load })
	pid, _ := ready(t, s.cfg.ReadyFile, 0)
	looks := func(n int) {
		for range n {
			clock.fire(t, lookEvery)
			// The supervisor must have looked before the test changes anything.
			eventually(t, "it has looked", func() bool { return clock.waiting(lookEvery, lookEvery) != nil })
		}
	}
	looks(1)
	if err := os.Remove(s.cfg.Socket); err != nil {
		t.Fatal(err)
	}
	looks(3 * goneLooks) // somebody is still connected
	connected.Store(false)
	looks(goneLooks - 1)
	connected.Store(true)
	looks(1)
	connected.Store(false)
	looks(goneLooks - 1)
	clock.fire(t, lookEvery)
	eventually(t, "it is ended", func() bool { return len(log.causes()) > 0 })
	clock.fireWithin(t, minBackoff/2, minBackoff)
	ready(t, s.cfg.ReadyFile, pid)
	if causes := log.causes(); len(causes) != 1 || causes[0] != "its socket is gone, and so is every connection" {
		t.Fatalf("ended because %q", causes)
	}
}
