package proc

import (
	"fmt"
	"os"
	"path/filepath"
)

// OpenFiles returns the targets of a process's file descriptors: paths, or names such as "socket:[123]". It needs
// Linux.
func OpenFiles(pid int) ([]string, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open files of process %d: %w", pid, err)
	}
	var open []string
	for _, entry := range entries {
		// A descriptor that is closed meanwhile is not counted.
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			open = append(open, target)
		}
	}
	return open, nil
}
