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

// fileLock keeps other processes from a file. The kernel drops it with the process, however it ends.
//
// It has a descriptor of its own, and closing any descriptor of a file drops all locks that this process has on it by
// fcntl, SQLite's own: so it is let go only after SQLite has closed the file, and a database that this process owns is
// not even opened for another try.
type fileLock struct {
	file *os.File
	info os.FileInfo
}

// owned are the files that this process may write.
var owned struct {
	sync.Mutex
	files []os.FileInfo
}

// lockFile takes a file for this process alone, which may write it. SQLite's own locks would let a second walletd in,
// whose positions would then pass the first one's head unseen.
func lockFile(path string) (*fileLock, error) {
	l, err := lock(path, os.O_RDWR, syscall.LOCK_EX)
	if err == nil {
		owned.Lock()
		defer owned.Unlock()
		owned.files = append(owned.files, l.info)
	}
	return l, err
}

// shareFile takes it beside others who only read; a process that writes is kept out as long.
func shareFile(path string) (*fileLock, error) { return lock(path, os.O_RDONLY, syscall.LOCK_SH) }

// lock opens the file anew if it was replaced before its lock was ours.
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

// share lets others in who only read.
func (l *fileLock) share() error {
	l.disown()
	return l.take(syscall.LOCK_SH)
}

// isAt says whether the locked file is the one that path leads to now.
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

// names is how many names a file has.
func names(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 1
}
