package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// settings is the prefix of the sidecar's settings in the environment.
const settings = "HOTPATHD_"

// permanent is true if the exit code says that the same program with the same settings would end in the same way again.
// These are the codes of sysexits.h, 64 to 78, except 69 (the socket or a port is taken), 71 (the system) and 75 (try
// again).
func permanent(err error) (code int, yes bool) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, false
	}
	code = exit.ExitCode()
	return code, code >= 64 && code <= 78 && !slices.Contains([]int{69, 71, 75}, code)
}

// giveUp waits until something that the sidecar was started with differs from what it was before the start, or until
// Restart is called. It returns false if that changed already while the sidecar started.
func (s *Supervisor) giveUp(ctx context.Context, code int, before, said string) bool {
	select {
	case <-s.again: // this was meant for the process that ended
	default:
	}
	if s.configuration() != before {
		return false
	}
	s.cfg.Log.Error("the sidecar cannot start, and is not started again until its program, or a file or folder that its settings "+
		"name, changes", "program", s.path, "exit_code", code, "said", said)
	s.cfg.GaveUp(true)
	defer s.cfg.GaveUp(false)
	for {
		over, stop := s.clock.After(lookEvery)
		select {
		case <-over:
			if s.configuration() == before {
				continue
			}
			s.cfg.Log.Info("what the sidecar starts with has changed; starting it again", "program", s.path)
			return true
		case why := <-s.again:
			stop()
			s.cfg.Log.Info("starting the sidecar again", "cause", why)
			return true
		case <-ctx.Done():
			stop()
			return true
		}
	}
}

// configuration describes everything that a start depends on and that can change while this process runs: the program,
// the files and folders that arguments and settings name, what is in the way of the socket and the ready file, and the
// environment. If two descriptions are equal, a start would end in the same way.
func (s *Supervisor) configuration() string {
	var b strings.Builder
	named := slices.Concat([]string{s.path, s.cfg.Socket, filepath.Dir(s.cfg.ReadyFile)}, s.cfg.Args)
	for _, pair := range os.Environ() {
		b.WriteString(pair + "\n")
		if strings.HasPrefix(pair, settings) {
			named = append(named, pair)
		}
	}
	for _, name := range named {
		describe(&b, name)
		if _, value, assigned := strings.Cut(name, "="); assigned {
			describe(&b, value)
		}
	}
	return b.String()
}

// describe adds what is at the path, and the folder around it.
func describe(b *strings.Builder, path string) {
	for _, path := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(b, "%q: %v\n", path, err)
			continue
		}
		fmt.Fprintf(b, "%q: %v", path, info.Mode())
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(b, " %d %d %d", stat.Dev, stat.Ino, stat.Uid)
		}
		// The contents of a folder may change at any time, so its size and time do not count.
		if !info.IsDir() {
			fmt.Fprintf(b, " %d %v", info.Size(), info.ModTime())
		}
		b.WriteString("\n")
	}
}

// Program describes the file that a start of the program would run. It is empty if there is none.
func Program(bin string) string {
	path, err := exec.LookPath(bin)
	if err != nil {
		return ""
	}
	var b strings.Builder
	describe(&b, path)
	return b.String()
}

func (s *Supervisor) describeStart() {
	program := Program(s.path)
	s.started.Store(&program)
}

// Started returns what Program said of the program when it was last started, and "" before.
func (s *Supervisor) Started() string {
	if program := s.started.Load(); program != nil {
		return *program
	}
	return ""
}
