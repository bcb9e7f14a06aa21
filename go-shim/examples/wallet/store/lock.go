//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
)

// fileLock keeps other processes away from a file. The kernel releases it when the process ends, however it ends.
//
// A fileLock has its own file descriptor. When a process closes any descriptor of a file, the kernel releases all fcntl
// locks that the process has on the file, and SQLite uses fcntl locks. So a fileLock must be closed only after SQLite
// has closed the file, and lock does not even open a file that this process owns.
type fileLock struct {
	file *os.File
	info os.FileInfo
}

// owned lists the files that this process has locked for itself.
var owned struct {
	sync.Mutex
	files []os.FileInfo
}

// lockFile locks a file for this process alone, to write it. SQLite's own locks are not enough: they would let a second
// walletd post, and the first would not notice those positions.
func lockFile(path string) (*fileLock, error) {
	l, err := lock(path, os.O_RDWR, syscall.LOCK_EX)
	if err == nil {
		owned.Lock()
		defer owned.Unlock()
		owned.files = append(owned.files, l.info)
	}
	return l, err
}

// shareFile locks a file to read it. Other processes may read it too, but not write it.
func shareFile(path string) (*fileLock, error) { return lock(path, os.O_RDONLY, syscall.LOCK_SH) }

// lock opens and locks a file. It tries again if the file was replaced before it had the lock.
func lock(path string, flag, how int) (*fileLock, error) {
	target := lockPath(path)
	if target != path {
		flag = os.O_CREATE | os.O_RDWR
	}
	for {
		if info, err := os.Stat(target); err == nil && isOwned(info) {
			return nil, ErrLocked
		}
		f, err := os.OpenFile(target, flag, 0o600)
		if err != nil {
			return nil, err
		}
		l := &fileLock{file: f}
		if err := l.take(how); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if l.info, err = f.Stat(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if l.isAt(path) {
			return l, nil
		}
		_ = f.Close()
	}
}

func (l *fileLock) take(how int) error {
	switch err := syscall.Flock(int(l.file.Fd()), how|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrLocked
	case err != nil:
		return fmt.Errorf("lock %s: %w", l.file.Name(), err)
	}
	return nil
}

// share lets other processes read the file.
func (l *fileLock) share() error {
	l.disown()
	return l.take(syscall.LOCK_SH)
}

// isAt returns whether the locked file is still the one at path.
func (l *fileLock) isAt(path string) bool {
	info, err := os.Stat(lockPath(path))
	return err == nil && os.SameFile(info, l.info)
}

func (l *fileLock) close() error {
	if l == nil {
		return nil
	}
	l.disown()
	return l.file.Close()
}

func (l *fileLock) disown() {
	owned.Lock()
	defer owned.Unlock()
	owned.files = slices.DeleteFunc(owned.files, func(info os.FileInfo) bool { return info == l.info })
}

func isOwned(info os.FileInfo) bool {
	owned.Lock()
	defer owned.Unlock()
	return slices.ContainsFunc(owned.files, func(o os.FileInfo) bool { return os.SameFile(o, info) })
}

// names returns how many names (hard links) a file has.
func names(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 1
}
