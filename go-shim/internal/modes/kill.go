package modes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// KillFile looks whether a file is there. What it holds does not matter, so that `touch` is enough, and a symbolic link
// counts even if it leads nowhere.
type KillFile struct {
	Path  string
	Every time.Duration
	// Lock is held from the look at the file until Changed has returned. Whoever makes the file, and says so, holds it too.
	Lock sync.Locker
	// Known returns what was last heard of the file, from here or from whoever makes and removes it.
	Known func() bool
	// Changed is called if the file says otherwise.
	Changed func(there bool)
	// Failed is called once for each reason why it cannot be seen whether the file is there. Then nothing changes.
	Failed func(error)

	failure string
}

// Kill makes the file, and adds a line that says who did.
func Kill(path, who string, at time.Time) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("kill file: %w", err)
	}
	// The file counts even if nothing can be written.
	_, _ = fmt.Fprintf(file, "%s rolled back at %s\n", oneLine(who), at.UTC().Format(time.RFC3339))
	_ = file.Close()
	return nil
}

// mostTold bounds what is logged of a kill file.
const mostTold = 200

// KilledBy returns the last line of the kill file, which says who made it if Kill did; empty if nothing does.
func KilledBy(path string) string {
	content, err := Read(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	last := oneLine(lines[len(lines)-1])
	return last[:min(len(last), mostTold)]
}

// Resume removes the file. It says whether it was there.
func Resume(path string) (was bool, err error) {
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("kill file: %w", err)
	}
	return true, nil
}

// IsThere says whether the file is there. Its folder need not exist.
func IsThere(path string) (bool, error) {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("kill file: %w", err)
	}
}

// Run looks until ctx ends.
func (k *KillFile) Run(ctx context.Context) {
	ticker := time.NewTicker(k.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.poll()
		}
	}
}

func (k *KillFile) poll() {
	k.Lock.Lock()
	defer k.Lock.Unlock()
	there, err := IsThere(k.Path)
	if err != nil {
		if k.failure != err.Error() {
			k.failure = err.Error()
			k.Failed(err)
		}
		return
	}
	k.failure = ""
	if there != k.Known() {
		k.Changed(there)
	}
}
