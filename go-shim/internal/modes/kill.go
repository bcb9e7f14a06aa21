package modes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// KillFile looks whether a file is there. What it holds does not matter, so that `touch` is enough, and a symbolic link
// counts even if it leads nowhere.
type KillFile struct {
	Path  string
	Every time.Duration
	// There is what was last seen, at first what IsThere returned.
	There bool
	// Changed is called with each change.
	Changed func(there bool)
	// Failed is called once for each reason why it cannot be seen whether the file is there. Then nothing changes.
	Failed func(error)

	failure string
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
	there, err := IsThere(k.Path)
	if err != nil {
		if k.failure != err.Error() {
			k.failure = err.Error()
			k.Failed(err)
		}
		return
	}
	k.failure = ""
	if there != k.There {
		k.There = there
		k.Changed(there)
	}
}
