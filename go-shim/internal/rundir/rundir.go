// Package rundir keeps a private folder for as long as this process lives. It makes the folder again if something
// removes it, and it sweeps the folders of processes that died.
//
// A lock on the folder itself shows that its process is alive. The system drops the lock when the process ends, in
// whatever way. The lock also tells systemd-tmpfiles to leave the folder alone.
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
	// Socket is the name of the file to listen on. The names of all other files in the folder must begin with it.
	Socket = "sidecar.sock"
)

// A sweeper may lock a new folder, for as long as it takes to remove it. Keep then tries again, with this pause.
const (
	attempts = 100
	pause    = 10 * time.Millisecond
)

// ErrForeign is wrapped by the error of Make or Keep if something else has the folder's name.
var ErrForeign = errors.New("must be a folder of this user alone (mode 0700)")

// Folder is a folder that this process holds.
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

// Socket returns the path to listen on.
func (f *Folder) Socket() string { return filepath.Join(f.path, Socket) }

// Keep makes the folder again, under its name, if it is gone. Only one goroutine may use it.
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
		// On a file system without locks, no sweeper removes anything either.
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
		_ = f.held.Close() // this also drops the lock
		f.held = nil
	}
}

// Sweep removes the folders in parent that dead processes of this user left behind, and returns their paths. It leaves
// a folder alone if the folder is locked, if it holds a file that is in use, or if it holds a file with another name
// than this package allows.
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

// inUse is true for a file that some process has locked. hotpathd locks a file for as long as it lives, and may outlive
// its parent by a moment. inUse is also true if it can't find out.
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

// open opens a folder that belongs to this user alone. In a folder such as /tmp, others may make what they like.
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

// same says whether the open folder is still the one at the path.
func same(dir *os.File, path string) bool {
	opened, err := dir.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
