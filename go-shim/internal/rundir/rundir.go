// Package rundir keeps a private folder for as long as this process lives: it is made again if it is removed, and those of
// processes that died are swept. The proof of life is a lock on the folder itself, which the system drops with the process,
// however that ends; it also tells systemd-tmpfiles to leave the folder alone.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	prefix = "hotpath-run-"
	// Socket is the file to listen on. What whoever listens needs beside it must have a name that begins so.
	Socket = "sidecar.sock"
)

// A sweeper may hold a new folder, for as long as it takes to remove it.
const (
	attempts = 100
	pause    = 10 * time.Millisecond
)

// ErrForeign is wrapped by errors about something else that has the folder's name.
var ErrForeign = errors.New("must be a folder of this user alone (mode 0700)")

// Folder is held by this process.
type Folder struct {
	path string
	held *os.File
}

// Make makes a folder in parent.
func Make(parent string) (*Folder, error) {
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	f := &Folder{path: path}
	return f, f.Keep()
}

// Socket is the path to listen on.
func (f *Folder) Socket() string { return filepath.Join(f.path, Socket) }

// Keep makes the folder again, under its name, if it is gone. It is not for use by several goroutines.
func (f *Folder) Keep() error {
	if f.held != nil && same(f.held, f.path) {
		return nil
	}
	f.letGo()
	for range attempts {
		if err := os.MkdirAll(f.path, 0o700); err != nil {
			return err
		}
		held, err := open(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept, before it was locked
		}
		if err != nil {
			return err
		}
		// A file system without locks has no sweepers either.
		if !errors.Is(lock(held), syscall.EWOULDBLOCK) && same(held, f.path) {
			f.held = held
			return nil
		}
		_ = held.Close()
		time.Sleep(pause)
	}
	return fmt.Errorf("%s: another process holds it", f.path)
}

// Remove removes the folder with all that is in it.
func (f *Folder) Remove() {
	if f.held != nil && same(f.held, f.path) {
		_ = os.RemoveAll(f.path)
	}
	f.letGo()
}

func (f *Folder) letGo() {
	if f.held != nil {
		_ = f.held.Close() // and with it goes the lock
		f.held = nil
	}
}

// Sweep removes the folders in parent that processes of this user left when they died, and returns them. A folder that is
// locked, or in which something is, or whose contents Make's user did not put there, is left alone.
func Sweep(parent string) []string {
	var swept []string
	found, _ := filepath.Glob(filepath.Join(parent, prefix+"*")) // the pattern is well formed
	for _, path := range found {
		if sweep(path) {
			swept = append(swept, path)
		}
	}
	return swept
}

func sweep(path string) bool {
	dir, err := open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	if lock(dir) != nil || !same(dir, path) {
		return false
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		if !strings.HasPrefix(name, Socket) || inUse(filepath.Join(path, name)) {
			return false
		}
	}
	for _, name := range names {
		if os.Remove(filepath.Join(path, name)) != nil {
			return false
		}
	}
	return os.Remove(path) == nil
}

// inUse is true of a file that somebody has locked, as hotpathd does while it lives: it may outlive its parent by a moment.
func inUse(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err != nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return true
	}
	defer file.Close()
	return lock(file) != nil
}

// open opens a folder that belongs to this user alone. Others may make what they like in a folder such as /tmp.
func open(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			err = fmt.Errorf("%s: %w", path, ErrForeign)
		}
		return nil, err
	}
	info, err := dir.Stat()
	if err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
			err = fmt.Errorf("%s: %w", path, ErrForeign)
		}
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

func lock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// same says whether the folder is still the one that has the name.
func same(dir *os.File, path string) bool {
	opened, err := dir.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
