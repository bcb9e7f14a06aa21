//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile takes the lock beside the database. SQLite's own locks would let a second walletd in, whose positions
// would then pass the first one's head unseen. The kernel drops the lock with the process, however it ends.
func lockFile(path string) (*os.File, error) { return lock(path, syscall.LOCK_EX) }

// shareFile takes it beside others who only read; a committing process is kept out as long.
func shareFile(path string) (*os.File, error) { return lock(path, syscall.LOCK_SH) }

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCreate, err)
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
