// Package supervise keeps one sidecar process running: never two, restarted with backoff, dead when its parent is.
// It is for Unix systems.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// settled is how long a sidecar must have run for its next restart to be quick again.
	settled = 10 * time.Second
)

// ErrNoBinary is wrapped by the error of New if the sidecar's program cannot be found.
var ErrNoBinary = errors.New("no sidecar program: install hotpathd on PATH, or name its file")

// Config describes the sidecar.
type Config struct {
	// Bin is a name to look up on PATH, or a path.
	Bin string
	// Args follow those that the supervisor gives itself: --socket, --lifeline and --ready-file.
	Args []string
	// Socket is where it shall listen.
	Socket string
	// ReadyFile is where it says that it does.
	ReadyFile string
	// StartTimeout is how long after its start it must have written ReadyFile, or be Connected.
	StartTimeout time.Duration
	// DrainTimeout is the time between SIGTERM and SIGKILL.
	DrainTimeout time.Duration
	Log          *slog.Logger
	// Connected says whether the sidecar has been reached, which is better proof than the file.
	Connected func() bool
	// Restarted is called before each start but the first.
	Restarted func()
}

// Supervisor runs one sidecar.
type Supervisor struct {
	cfg    Config
	path   string
	cancel context.CancelFunc
	done   chan struct{}
	again  chan string
	pid    atomic.Int64
}

// New finds the program; it starts nothing.
func New(cfg Config) (*Supervisor, error) {
	path, err := exec.LookPath(cfg.Bin)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBinary, err)
	}
	return &Supervisor{cfg: cfg, path: path, done: make(chan struct{}), again: make(chan string, 1)}, nil
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

// Restart replaces the running sidecar by an empty one.
func (s *Supervisor) Restart(why string) {
	select {
	case s.again <- why:
	default: // one is due already
	}
}

// PID is that of the running sidecar; 0 if none is.
func (s *Supervisor) PID() int { return int(s.pid.Load()) }

func (s *Supervisor) run(ctx context.Context) {
	defer close(s.done)
	wait := backoff.Backoff{Min: minBackoff, Max: maxBackoff}
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			s.cfg.Restarted()
		}
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > settled {
			wait.Reset()
		}
		pause := wait.Next()
		s.cfg.Log.Error("the sidecar is gone; starting it again", "cause", err, "in", pause.Round(time.Millisecond))
		_ = backoff.Sleep(ctx, pause) // cancelled: the loop ends
	}
}

// once starts the sidecar and returns when it is gone.
func (s *Supervisor) once(ctx context.Context) error {
	// A request that was meant for the process before.
	select {
	case <-s.again:
	default:
	}
	// Whoever waits for the file shall not read that of a dead process.
	_ = os.Remove(s.cfg.ReadyFile)
	out := &lines{log: s.cfg.Log}
	defer out.flush()
	command := s.command(out)
	lifeline, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.path, err)
	}
	defer lifeline.Close()

	started, exited := launch(command)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", s.path, err)
	}
	s.pid.Store(int64(command.Process.Pid))
	defer s.pid.Store(0)
	s.cfg.Log.Info("the sidecar is started", "program", s.path, "pid", command.Process.Pid, "socket", s.cfg.Socket)

	startup := time.NewTimer(s.cfg.StartTimeout)
	defer startup.Stop()
	for {
		select {
		case err := <-exited:
			return exit(err)
		case <-startup.C:
			if s.isUp() {
				continue
			}
			s.stop(command.Process, exited)
			return fmt.Errorf("it did not listen within %v", s.cfg.StartTimeout)
		case why := <-s.again:
			s.stop(command.Process, exited)
			return errors.New(why)
		case <-ctx.Done():
			s.stop(command.Process, exited)
			return ctx.Err()
		}
	}
}

// isUp is asked once per start: later it is the connection that tells a sidecar that hangs.
func (s *Supervisor) isUp() bool {
	_, err := os.Stat(s.cfg.ReadyFile)
	return err == nil || s.cfg.Connected()
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

// stop asks for an orderly end and then insists.
func (s *Supervisor) stop(child *os.Process, exited <-chan error) {
	_ = child.Signal(syscall.SIGTERM) // fails only if it is gone already
	patience := time.NewTimer(s.cfg.DrainTimeout)
	defer patience.Stop()
	select {
	case <-exited:
	case <-patience.C:
		s.cfg.Log.Warn("the sidecar did not drain in time; killing it", "pid", child.Pid, "after", s.cfg.DrainTimeout)
		_ = syscall.Kill(-child.Pid, syscall.SIGKILL)
		<-exited
		return
	}
	// What it may have left behind in its process group.
	_ = syscall.Kill(-child.Pid, syscall.SIGKILL)
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
		// PDEATHSIG is sent when the *thread* that forked ends, so that thread must live as long as the child.
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
