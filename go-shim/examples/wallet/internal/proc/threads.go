package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Thread is what the kernel accounts to one thread.
type Thread struct {
	// ID of the main thread is the process id.
	ID   int
	Name string
	CPU  time.Duration
}

// Threads returns the running threads of a process. It needs Linux.
func Threads(pid int) ([]Thread, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("threads of process %d: %w", pid, errors.Join(os.ErrNotExist, err))
	}
	var all []Thread
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		account, err := parseStat(string(text))
		if err != nil {
			return nil, fmt.Errorf("threads of process %d: %w", pid, err)
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("threads of process %d: %w", pid, err)
		}
		all = append(all, Thread{ID: id, Name: account.Name, CPU: account.CPU})
	}
	return all, nil
}

// Memory is the resident memory of a process in bytes: now, and the most that it ever was.
type Memory struct {
	Resident int64 `json:"resident_bytes"`
	Peak     int64 `json:"peak_bytes"`
}

// ErrBadStatus means that a /proc/PID/status could not be parsed.
var ErrBadStatus = errors.New("/proc/PID/status: lacks VmRSS or VmHWM in kB")

// MemoryOf reads the memory of a process. It needs Linux.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return parseStatus(string(text))
}

func parseStatus(text string) (Memory, error) {
	values := make(map[string]int64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		number, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if n, err := strconv.ParseInt(number, 10, 64); isKB && err == nil {
			values[name] = n << 10
		}
	}
	m := Memory{Resident: values["VmRSS"], Peak: values["VmHWM"]}
	if m.Resident <= 0 || m.Peak <= 0 {
		return Memory{}, ErrBadStatus
	}
	return m, nil
}
