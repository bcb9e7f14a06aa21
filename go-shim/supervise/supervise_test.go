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
	role     = "HOTPATH_TEST_ROLE"
	patience = time.Minute
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
	default:
		sidecar(true)
	}
}

// sidecar writes its arguments and pid to the ready file and waits for its end.
func sidecar(lifeline bool) {
	for i, arg := range os.Args {
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

// hung is a sidecar that gets nowhere the first time.
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

// sleepForEver is no empty select, in which the runtime would see a deadlock.
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
		Log: slog.New(slog.DiscardHandler), Connected: func() bool { return false }, Restarted: func() {}}
}

func start(t *testing.T, as string, change func(*Config)) *Supervisor {
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
	s.Start()
	var once sync.Once
	t.Cleanup(func() { once.Do(s.Close) })
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
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
	// Any but the first: a second request that comes late replaces the second.
	eventually(t, "its pid is known", func() bool { return s.PID() != 0 && s.PID() != first })
}

func TestSidecarThatHangsBeforeItListensIsReplaced(t *testing.T) {
	var log recorder
	t.Setenv("HOTPATH_TEST_DIR", t.TempDir())
	s := start(t, "hung", func(c *Config) { c.StartTimeout = time.Second; c.Log = slog.New(&log) })
	ready(t, s.cfg.ReadyFile, 0)
	// A sidecar may be up before its start is logged.
	eventually(t, "both starts are logged", func() bool {
		return log.count("the sidecar is started") >= 2 && log.count("the sidecar is gone; starting it again") > 0
	})
	// Once up, the start timeout is no longer about it. On a slow machine the second may not be up in time either.
	eventually(t, "one outlives the start timeout", func() bool {
		pid := s.PID()
		time.Sleep(1500 * time.Millisecond)
		return pid != 0 && s.PID() == pid && !gone(pid)
	})
}

func TestConnectedSidecarNeedsNoReadyFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOTPATH_TEST_DIR", dir)
	asked := make(chan struct{})
	var once sync.Once
	s := start(t, "hung", func(c *Config) {
		c.StartTimeout = 50 * time.Millisecond
		c.Connected = func() bool { once.Do(func() { close(asked) }); return true }
	})
	<-asked
	time.Sleep(50 * time.Millisecond)
	if s.PID() == 0 || gone(s.PID()) {
		t.Fatal("replaced though it is connected")
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

// recorder keeps log messages.
type recorder struct {
	mu    sync.Mutex
	lines []string
	times []time.Time
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, record.Message)
	r.times = append(r.times, record.Time)
	return nil
}

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
	began := time.Now()
	start(t, "crash", func(c *Config) { c.Log = slog.New(&log) })
	eventually(t, "four crashes", func() bool { return log.count("sidecar: something broke") >= 4 })
	// Half of 100, 200 and 400 ms at least.
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Fatalf("four starts within %v", took)
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

// The sidecar that reads its lifeline must go when that closes, the deaf one by the kernel's signal.
func TestSidecarDiesWithItsParent(t *testing.T) {
	children := []string{"sidecar"}
	if hasDeathSignal() {
		children = append(children, "deaf")
	}
	for _, child := range children {
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

// dead also takes a zombie, which the init process of a container may never reap.
func dead(pid int) bool {
	if gone(pid) {
		return true
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || bytes.HasPrefix(bytes.TrimSpace(out), []byte("Z"))
}

// A thread that ends must not take the sidecar with it: PDEATHSIG belongs to the thread that forked.
func TestSidecarOutlivesOtherThreads(t *testing.T) {
	s := start(t, "deaf", nil)
	pid, _ := ready(t, s.cfg.ReadyFile, 0)
	eventually(t, "its pid is known", func() bool { return s.PID() == pid })
	endThreads(200)
	time.Sleep(50 * time.Millisecond)
	if s.PID() != pid || gone(pid) {
		t.Fatal("it died with a thread of its living parent")
	}
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
