// Package supervise keeps one sidecar process running. It never runs two at a time, restarts with backoff, and makes
// sure that the sidecar dies with its parent. It needs a Unix system.
//
//	start ──> running ──> the process ended, or must end ──> backoff ──> start
//	                          │ │ │
//	                          │ │ └─ too many ends in a short time ──> a long wait ──> start
//	                          │ └─── an exit code that a restart cannot mend ──> given up ──> start
//	                          │                              a file or setting changed, or Restart
//	                          └───── Ended says so ──> over
//
// crashes.go has the budget of ends, permanent.go the exit codes, group.go kills and reaps what a sidecar leaves behind, and
// lines.go logs what it prints, and keeps its last lines.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"hotpath.dev/go-shim/internal/backoff"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// settled is how long a sidecar must have run for its next restart to follow quickly again.
	settled = 10 * time.Second
	// lookEvery is how often the supervisor looks at files.
	lookEvery = time.Second
	// goneLooks is the number of looks in a row without socket and connection after which nobody can reach the sidecar.
	// It is longer than most sidecars drain.
	goneLooks = 10
)

// ErrNoBinary is wrapped by the error of New if the sidecar's program cannot be found.
var ErrNoBinary = errors.New("no sidecar program: install hotpathd on PATH, or name its file")

// Config describes the sidecar.
type Config struct {
	// Bin is a name to look up on PATH, or a path.
	Bin string
	// Args follow the flags that the supervisor sets itself: --socket, --lifeline and --ready-file.
	Args []string
	// Socket is the path on which the sidecar listens.
	Socket string
	// ReadyFile is the file that the sidecar writes once it listens.
	ReadyFile string
	// StartTimeout is the time within which the sidecar must have written ReadyFile, or be Connected.
	StartTimeout time.Duration
	// DrainTimeout is the time between SIGTERM and SIGKILL.
	DrainTimeout time.Duration
	Log          *slog.Logger
	// Connected says whether the shim has reached the sidecar, which is better proof than the file.
	Connected func() bool
	// Prepare is called before each start and makes what the start needs. Its error is the error of the start.
	Prepare func() error
	// Restarted is called before each start but the first.
	Restarted func()
	// GaveUp is called with true when the sidecar is given up until something changes, and with false when that is
	// over.
	GaveUp func(bool)
	// Ended is called when the sidecar is gone, unless Close ended it, with the cause and its last lines. If it returns true,
	// the sidecar is not started again.
	Ended func(cause error, said string) bool
	// Crashes is how many ends within CrashWindow are a crash loop, which is over when a sidecar has been up for CrashWindow.
	// Meanwhile the sidecar is started only after SlowMin, and each time after a longer wait, up to SlowMax.
	Crashes                       int
	CrashWindow, SlowMin, SlowMax time.Duration
	// CrashLooping is called with true when a crash loop begins, and with false when it is over.
	CrashLooping func(bool)
}

// Supervisor runs one sidecar.
type Supervisor struct {
	cfg    Config
	path   string
	cancel context.CancelFunc
	done   chan struct{}
	again  chan string
	pid    atomic.Int64
	clock  clock
	// started describes the program that the last start ran.
	started atomic.Pointer[string]
	// budget is for run's goroutine only.
	budget budget
}

// New finds the program. It starts nothing.
func New(cfg Config) (*Supervisor, error) {
	path, err := exec.LookPath(cfg.Bin)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBinary, err)
	}
	return &Supervisor{cfg: cfg, path: path, done: make(chan struct{}), again: make(chan string, 1), clock: wall{},
		budget: newBudget(cfg)}, nil
}

// Start begins to keep the sidecar running.
func (s *Supervisor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

// Close drains the sidecar and returns when it is gone.
func (s *Supervisor) Close() {
	s.cancel()
	<-s.done
}

// Restart replaces the running sidecar by an empty one. It also starts a sidecar that was given up.
func (s *Supervisor) Restart(why string) {
	select {
	case s.again <- why:
	default: // one is due already
	}
}

// PID returns the process id of the running sidecar, or 0 if none is running.
func (s *Supervisor) PID() int { return int(s.pid.Load()) }

// life is how one process ended.
type life struct {
	err error
	// said holds its last lines.
	said string
	// gaveUp is true if the sidecar was given up, and something has changed since. over is true if it is not to be started again.
	gaveUp, over bool
}

func (s *Supervisor) run(ctx context.Context) {
	defer close(s.done)
	wait := backoff.Backoff{Min: minBackoff, Max: maxBackoff}
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			s.cfg.Restarted()
		}
		began := s.clock.Now()
		life := s.try(ctx)
		switch {
		case ctx.Err() != nil || life.over:
			return
		case life.gaveUp:
			wait.Reset()
			continue
		case s.spend(ctx, life):
			continue
		}
		if s.clock.Now().Sub(began) > settled {
			wait.Reset()
		}
		pause := wait.Next()
		s.cfg.Log.Error("the sidecar is gone; starting it again", "cause", life.err, "in", pause.Round(time.Millisecond))
		sleep(ctx, s.clock, pause)
	}
}

// try starts the sidecar and returns when it is gone and may be started again.
func (s *Supervisor) try(ctx context.Context) life {
	before, out := s.configuration(), &lines{log: s.cfg.Log}
	err := s.cfg.Prepare()
	if err != nil {
		err = fmt.Errorf("start %s: %w", s.path, err)
	} else {
		err = s.once(ctx, out)
	}
	l := life{err: err, said: out.flush()}
	if ctx.Err() != nil {
		return l
	}
	if l.over = s.cfg.Ended(l.err, l.said); l.over {
		return l
	}
	if code, yes := permanent(err); yes {
		l.gaveUp = s.giveUp(ctx, code, before, l.said)
	}
	return l
}

// once starts the sidecar and returns when it is gone.
func (s *Supervisor) once(ctx context.Context, out io.Writer) error {
	// Drop a request that was meant for the process before.
	select {
	case <-s.again:
	default:
	}
	// Whoever waits for the file must not read that of a dead process.
	_ = os.Remove(s.cfg.ReadyFile)
	command := s.command(out)
	lifeline, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.path, err)
	}
	defer lifeline.Close()

	s.describeStart()
	started, exited := launch(command)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", s.path, err)
	}
	s.pid.Store(int64(command.Process.Pid))
	defer s.pid.Store(0)
	s.cfg.Log.Info("the sidecar is started", "program", s.path, "pid", command.Process.Pid, "socket", s.cfg.Socket)

	err, ended := s.watch(ctx, exited)
	if !ended {
		s.stop(command.Process, exited)
	}
	endGroup(command.Process.Pid)
	return err
}

// watch returns why the sidecar has ended, or must end.
func (s *Supervisor) watch(ctx context.Context, exited <-chan error) (err error, ended bool) {
	startup, stop := s.clock.After(s.cfg.StartTimeout)
	defer stop()
	reached, began := reach{}, s.clock.Now()
	for {
		look, stop := s.clock.After(lookEvery)
		select {
		case err := <-exited:
			stop()
			return exit(err), true
		case <-look:
			if s.look(&reached); reached.gone >= goneLooks {
				return errors.New("its socket is gone, and so is every connection"), false
			}
			if reached.up {
				s.stayedUp(s.clock.Now().Sub(began))
			}
		case <-startup:
			stop()
			if !s.isUp() {
				return fmt.Errorf("it did not listen within %v", s.cfg.StartTimeout), false
			}
		case why := <-s.again:
			stop()
			return errors.New(why), false
		case <-ctx.Done():
			stop()
			return ctx.Err(), false
		}
	}
}

// isUp says whether the sidecar has started. It is asked until it was true once; later the connection shows a sidecar
// that hangs.
func (s *Supervisor) isUp() bool {
	_, err := os.Stat(s.cfg.ReadyFile)
	return err == nil || s.cfg.Connected()
}

// reach holds whether a sidecar was up, and the number of looks in a row in which it could not be reached.
type reach struct {
	up   bool
	gone int
}

// look checks whether the sidecar can be reached. A program that cleans up old files may remove the socket of a living
// sidecar. The sidecar then serves its open connections, and nobody else can connect.
func (s *Supervisor) look(r *reach) {
	r.up = r.up || s.isUp()
	_, err := os.Lstat(s.cfg.Socket)
	if r.up && errors.Is(err, fs.ErrNotExist) && !s.cfg.Connected() {
		r.gone++
	} else {
		r.gone = 0
	}
}

func (s *Supervisor) command(out io.Writer) *exec.Cmd {
	args := append([]string{"--socket", s.cfg.Socket, "--lifeline", "--ready-file", s.cfg.ReadyFile}, s.cfg.Args...)
	command := exec.Command(s.path, args...)
	command.SysProcAttr = attributes()
	command.Stdout, command.Stderr = out, out
	// A grandchild that holds the pipe open must not keep Wait from returning.
	command.WaitDelay = time.Second
	return command
}

// stop asks the sidecar to end, and kills it after DrainTimeout.
func (s *Supervisor) stop(child *os.Process, exited <-chan error) {
	_ = child.Signal(syscall.SIGTERM) // fails only if it is gone already
	over, enough := s.clock.After(s.cfg.DrainTimeout)
	defer enough()
	select {
	case <-exited:
	case <-over:
		s.cfg.Log.Warn("the sidecar did not drain in time; killing it", "pid", child.Pid, "after", s.cfg.DrainTimeout)
		_ = syscall.Kill(-child.Pid, syscall.SIGKILL)
		<-exited
	}
}

func exit(err error) error {
	if err == nil {
		return errors.New("it exited with status 0")
	}
	return err
}

// launch starts the command and waits for it on a goroutine of its own.
func launch(command *exec.Cmd) (started, exited <-chan error) {
	start, end := make(chan error, 1), make(chan error, 1)
	go func() {
		// The kernel sends PDEATHSIG when the *thread* that forked ends, so that thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		start <- err
		if err == nil {
			end <- command.Wait()
		}
	}()
	return start, end
}
