package supervise

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// role makes this test binary something else: a sidecar, or a service that supervises one.
	role        = "HOTPATH_TEST_ROLE"
	testTimeout = time.Minute
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "crash":
		fmt.Fprintln(os.Stderr, "something broke")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		sidecar(false)
	case "deaf":
		sidecar(false)
	case "hung":
		hung()
	case "service":
		service()
	case "leaving":
		leaving()
	case "reaping":
		os.Exit(reaping())
	case "answering":
		answering()
	case "permanent":
		endForGood()
	default:
		sidecar(true)
	}
}

// endForGood exits with the code in the file that the last argument names. Without a code there, it is a sidecar.
func endForGood() {
	text, err := os.ReadFile(os.Args[len(os.Args)-1])
	code, noNumber := strconv.Atoi(string(text))
	if errors.Join(err, noNumber) != nil {
		sidecar(true)
		return
	}
	fmt.Fprintln(os.Stderr, "hotpathd: 1 mistake, nothing was started:\n  env HOTPATHD_THREADS: must be a number")
	os.Exit(code)
}

// sidecar writes its arguments and pid to the ready file and waits for its end.
func sidecar(lifeline bool) {
	for i, arg := range os.Args {
		if arg == "--socket" {
			if err := os.WriteFile(os.Args[i+1], nil, 0o600); err != nil {
				panic(err)
			}
		}
		if arg == "--ready-file" {
			text := fmt.Sprintf("%d\n%s\n", os.Getpid(), strings.Join(os.Args[1:], " "))
			if err := os.WriteFile(os.Args[i+1]+".new", []byte(text), 0o600); err != nil {
				panic(err)
			}
			if err := os.Rename(os.Args[i+1]+".new", os.Args[i+1]); err != nil {
				panic(err)
			}
		}
	}
	if lifeline {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	sleepForEver()
}

// hung is a sidecar that hangs the first time.
func hung() {
	marker := filepath.Join(os.Getenv("HOTPATH_TEST_DIR"), "hung")
	if _, err := os.Stat(marker); err == nil {
		sidecar(true)
		return
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		panic(err)
	}
	sleepForEver()
}

// sleepForEver sleeps instead of an empty select, which the runtime would report as a deadlock.
func sleepForEver() {
	for {
		time.Sleep(time.Hour)
	}
}

// service supervises a sidecar until it is killed.
func service() {
	if err := os.Setenv(role, os.Getenv("HOTPATH_TEST_CHILD")); err != nil {
		panic(err)
	}
	s, err := New(config(os.Getenv("HOTPATH_TEST_DIR")))
	if err != nil {
		panic(err)
	}
	s.Start()
	sleepForEver()
}

func config(dir string) Config {
	return Config{Bin: os.Args[0], Args: []string{"--extra", "1"}, Socket: filepath.Join(dir, "s"),
		ReadyFile: filepath.Join(dir, "ready"), StartTimeout: time.Hour, DrainTimeout: 10 * time.Second,
		Log: slog.New(slog.DiscardHandler), Connected: func() bool { return false },
		Prepare: func() error { return nil }, Restarted: func() {}, GaveUp: func(bool) {},
		Ended: func(error, string) bool { return false }, Crashes: 100, CrashWindow: time.Minute,
		SlowMin: 30 * time.Second, SlowMax: 5 * time.Minute, CrashLooping: func(bool) {}}
}

func start(t *testing.T, as string, change func(*Config)) *Supervisor {
	t.Helper()
	return startWith(t, wall{}, as, change)
}

func startWith(t *testing.T, clock clock, as string, change func(*Config)) *Supervisor {
	t.Helper()
	t.Setenv(role, as)
	cfg := config(t.TempDir())
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.clock = clock
	s.Start()
	var once sync.Once
	t.Cleanup(func() { once.Do(s.Close) })
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

// ready waits for a sidecar other than the one before and returns its pid and arguments.
func ready(t *testing.T, file string, before int) (int, string) {
	t.Helper()
	pid, args := 0, ""
	eventually(t, "the sidecar is up", func() bool {
		content, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		first, rest, _ := strings.Cut(string(content), "\n")
		pid, err = strconv.Atoi(first)
		args = strings.TrimSpace(rest)
		return err == nil && pid != before
	})
	return pid, args
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestSidecarGetsItsArguments(t *testing.T) {
	s := start(t, "sidecar", nil)
	pid, args := ready(t, s.cfg.ReadyFile, 0)
	want := fmt.Sprintf("--socket %s --lifeline --ready-file %s --extra 1", s.cfg.Socket, s.cfg.ReadyFile)
	if args != want {
		t.Fatalf("arguments %q, want %q", args, want)
	}
	eventually(t, "its pid is known", func() bool { return s.PID() == pid })
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Fatalf("process group %d, %v", group, err)
	}
	s.Close()
	if !gone(pid) || s.PID() != 0 {
		t.Fatal("it outlived Close")
	}
}

func TestKilledSidecarIsStartedAgain(t *testing.T) {
	var restarts atomic.Int64
	s := start(t, "sidecar", func(c *Config) { c.Restarted = func() { restarts.Add(1) } })
	pid, _ := ready(t, s.cfg.ReadyFile, 0)
	for range 2 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pid, _ = ready(t, s.cfg.ReadyFile, pid)
	}
	if restarts.Load() != 2 {
		t.Fatalf("%d restarts", restarts.Load())
	}
}

func TestRestartReplacesIt(t *testing.T) {
	s := start(t, "sidecar", func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	first, _ := ready(t, s.cfg.ReadyFile, 0)
	s.Restart("it holds another ledger")
	s.Restart("it holds another ledger")
	ready(t, s.cfg.ReadyFile, first)
	if !gone(first) {
		t.Fatal("two run at once")
	}
	// This may be any process but the first, because the second request may come late and replace the second process.
	eventually(t, "its pid is known", func() bool { return s.PID() != 0 && s.PID() != first })
}

func TestSidecarThatHangsBeforeItListensIsReplaced(t *testing.T) {
	var log recorder
	clock := newFakeClock()
	dir := t.TempDir()
	t.Setenv("HOTPATH_TEST_DIR", dir)
	s := startWith(t, clock, "hung", func(c *Config) { c.StartTimeout, c.Log = time.Hour, slog.New(&log) })
	eventually(t, "it hangs", func() bool {
		_, err := os.Stat(filepath.Join(dir, "hung"))
		return err == nil
	})
	clock.fire(t, time.Hour)
	eventually(t, "the first is given up", func() bool { return len(log.causes()) == 1 })
	clock.fireWithin(t, minBackoff/2, minBackoff)
	first, _ := ready(t, s.cfg.ReadyFile, 0)
	// The start timeout no longer applies to a sidecar that is up.
	clock.fire(t, time.Hour)
	s.Restart("the test says so")
	eventually(t, "the second is ended", func() bool { return len(log.causes()) == 2 })
	clock.fireWithin(t, minBackoff/2, minBackoff)
	ready(t, s.cfg.ReadyFile, first)
	if want := []string{"it did not listen within 1h0m0s", "the test says so"}; !slices.Equal(log.causes(), want) {
		t.Fatalf("ended because %q, want %q", log.causes(), want)
	}
}

func TestConnectedSidecarNeedsNoReadyFile(t *testing.T) {
	var log recorder
	clock := newFakeClock()
	t.Setenv("HOTPATH_TEST_DIR", t.TempDir())
	s := startWith(t, clock, "hung", func(c *Config) {
		c.StartTimeout, c.Log, c.Connected = time.Hour, slog.New(&log), func() bool { return true }
	})
	clock.fire(t, time.Hour)
	s.Restart("the test says so")
	eventually(t, "it is ended", func() bool { return len(log.causes()) == 1 })
	if causes := log.causes(); causes[0] != "the test says so" {
		t.Fatalf("ended because %q though it is connected", causes)
	}
}

func TestStubbornSidecarIsKilled(t *testing.T) {
	s := start(t, "stubborn", func(c *Config) { c.DrainTimeout = 20 * time.Millisecond })
	pid, _ := ready(t, s.cfg.ReadyFile, 0)
	s.Close()
	if !gone(pid) {
		t.Fatal("it outlived Close")
	}
}

// recorder records log messages.
type recorder struct {
	mu    sync.Mutex
	lines []string
	// errors are the records of level ERROR.
	errors []slog.Record
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, record.Message)
	if record.Level == slog.LevelError {
		r.errors = append(r.errors, record.Clone())
	}
	return nil
}

// attribute returns the values of an attribute in the ERROR records that have it.
func (r *recorder) attribute(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var values []string
	for _, record := range r.errors {
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == name {
				values = append(values, a.Value.String())
			}
			return true
		})
	}
	return values
}

// causes returns why sidecars had to be started again.
func (r *recorder) causes() []string { return r.attribute("cause") }

func (r *recorder) count(message string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.lines {
		if line == message {
			n++
		}
	}
	return n
}

func TestCrashingSidecarIsRetriedEverMoreSlowlyAndItsWordsAreLogged(t *testing.T) {
	var log recorder
	clock := newFakeClock()
	startWith(t, clock, "crash", func(c *Config) { c.Log = slog.New(&log) })
	for n, most := 1, minBackoff; n <= 9; n, most = n+1, min(2*most, maxBackoff) {
		eventually(t, "it crashed again", func() bool { return len(log.causes()) == n })
		if log.count("sidecar: something broke") != n {
			t.Fatalf("its words are not logged: %q", log.lines)
		}
		clock.fireWithin(t, most/2, most)
	}
}

func TestProgramThatVanishesIsRetried(t *testing.T) {
	t.Setenv(role, "sidecar")
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	original, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("not a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log recorder
	s := start(t, "sidecar", func(c *Config) { c.Bin = program; c.Log = slog.New(&log) })
	eventually(t, "it cannot start", func() bool { return log.count("the sidecar is gone; starting it again") > 0 })
	if err := os.WriteFile(program+".new", original, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	ready(t, s.cfg.ReadyFile, 0)
}

func TestProgramThatIsNowhere(t *testing.T) {
	if _, err := New(Config{Bin: "hotpathd-that-nobody-has"}); !errors.Is(err, ErrNoBinary) {
		t.Fatalf("got %v", err)
	}
}

// A sidecar that reads its lifeline must end when the lifeline closes. A deaf one must be ended by the kernel's signal.
func TestSidecarDiesWithItsParent(t *testing.T) {
	for _, child := range withoutParents() {
		dir := t.TempDir()
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), role+"=service", "HOTPATH_TEST_CHILD="+child, "HOTPATH_TEST_DIR="+dir)
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		pid, _ := ready(t, filepath.Join(dir, "ready"), 0)
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait() // killed
		eventually(t, child+" is gone", func() bool { return dead(pid) })
	}
}

// dead also accepts a zombie, which the init process of a container may never reap.
func dead(pid int) bool {
	if gone(pid) {
		return true
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || bytes.HasPrefix(bytes.TrimSpace(out), []byte("Z"))
}

func TestLinesOfTheSidecarsLogKeepTheirLevel(t *testing.T) {
	for line, want := range map[string]string{
		"2026-01-02T03:04:05.000000Z  WARN feed refused (FEED_GAP): x": "WARN feed refused (FEED_GAP): x",
		"2026-01-02T03:04:05.000000Z ERROR panic at x":                 "ERROR panic at x",
		"2026-01-02T03:04:05.000000Z  INFO serving":                    "INFO serving",
		"hotpathd: 1 mistake, nothing was started:":                    "INFO hotpathd: 1 mistake, nothing was started:",
		"": "INFO ",
	} {
		if level, message := levelled(line); level.String()+" "+message != want {
			t.Errorf("%q: %v %q", line, level, message)
		}
	}
}

func TestLinesAreCutAndBounded(t *testing.T) {
	var log recorder
	l := &lines{log: slog.New(&log)}
	long := strings.Repeat("x", 3*maxLineBytes)
	reader := bufio.NewReader(strings.NewReader("a\r\n\nb" + "c\n" + long + "\n"))
	for {
		chunk := make([]byte, 1000)
		n, err := reader.Read(chunk)
		if _, failed := l.Write(chunk[:n]); failed != nil {
			t.Fatal(failed)
		}
		if err != nil {
			break
		}
	}
	if !slices.Equal(log.lines[:2], []string{"sidecar: a", "sidecar: bc"}) {
		t.Fatalf("%q", log.lines[:2])
	}
	for _, line := range log.lines {
		if len(line) > maxLineBytes+1100 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
}
