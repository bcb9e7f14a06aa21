// Package proc runs the real binaries for the demonstration and the end-to-end tests, and reads what the operating
// system accounts to them.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	// Name is the name of the process in messages.
	Name string
	Bin  string
	Args []string
	// Log is the file to which everything that the process prints is appended.
	Log string
	// Env is added to the environment. Apart from this, the environment has no settings of the sidecar.
	Env []string
	// Lifeline gives the process a standard input that stays open until it is stopped.
	Lifeline bool
}

// Process is a started binary.
type Process struct {
	spec     Spec
	cmd      *exec.Cmd
	lifeline *os.File
	done     chan struct{}
	err      error
}

// Start starts the process in a process group of its own, so that a Ctrl-C reaches it only through Stop.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", spec.Name, err)
	}
	defer log.Close()
	p := &Process{spec: spec, cmd: exec.Command(spec.Bin, spec.Args...), done: make(chan struct{})}
	p.cmd.Env = append(environment(), spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ownGroup()
	if spec.Lifeline {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("lifeline of %s: %w", spec.Name, err)
		}
		defer read.Close()
		p.cmd.Stdin, p.lifeline = read, write
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment returns this process's environment without the sidecar's settings, so that a started process depends on
// its command line alone.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "HOTPATHD_") })
}

// Run starts the process and waits for its end. An error contains the last lines of its output.
func Run(spec Spec, cancel <-chan struct{}) error {
	p, err := Start(spec)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-cancel:
		p.Stop(5 * time.Second)
		return fmt.Errorf("%s: interrupted", spec.Name)
	}
	if p.err != nil {
		return p.Explain(p.err)
	}
	return nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode waits for the end of the process and returns its exit code, or -1 if a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the process, not to its process group.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s to %s: %w", sig, p.spec.Name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for its end. It does not touch the process's children.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	p.closeLifeline()
}

// Stop sends SIGTERM. If the process has not ended after grace, Stop kills the whole process group. It may be called
// again.
func (p *Process) Stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
		<-p.done
	}
	p.closeLifeline()
}

func (p *Process) closeLifeline() {
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
}

// Explain adds the last lines that the process printed to err.
func (p *Process) Explain(err error) error {
	return fmt.Errorf("%s (%s %v): %w\n%s", p.spec.Name, filepath.Base(p.spec.Bin), p.spec.Args, err,
		indent(LastLines(p.spec.Log, 20)))
}

// ErrEnded is wrapped by the error of Await if the process ended.
var ErrEnded = errors.New("the process ended; its last lines say why")

// Await polls check until it returns true. It fails if the process ends or the time is up. The error contains the last
// lines of the process's output.
func (p *Process) Await(what string, atMost time.Duration, check func() bool) error {
	began := time.Now()
	for !check() {
		// A long wait need not be exact, and what check does may take much of a core.
		next := min(10*time.Millisecond+time.Since(began)/20, 250*time.Millisecond)
		select {
		case <-p.done:
			return p.Explain(fmt.Errorf("%w (%v), awaited: %s", ErrEnded, p.err, what))
		case <-time.After(next):
		}
		if time.Since(began) > atMost {
			return p.Explain(fmt.Errorf("not within %v: %s", atMost, what))
		}
	}
	return nil
}
