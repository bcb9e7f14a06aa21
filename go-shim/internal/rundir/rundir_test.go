package rundir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

func folder(t *testing.T, parent string) *Folder {
	t.Helper()
	f, err := Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Remove)
	return f
}

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// die drops the lock, as the system does when a process ends.
func (f *Folder) die() { f.letGo() }

func TestAFolderIsPrivateAndIsRemoved(t *testing.T) {
	f := folder(t, t.TempDir())
	info, err := os.Stat(f.path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	put(t, f.Socket())
	f.Remove()
	if exists(f.path) {
		t.Fatal("it is left")
	}
}

func TestARemovedFolderIsMadeAgainWithItsName(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	f := folder(t, parent)
	for _, gone := range []string{f.path, parent} {
		put(t, f.Socket())
		if err := f.Keep(); err != nil || !exists(f.Socket()) {
			t.Fatalf("one that is there is left as it is: %v", err)
		}
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
		if err := f.Keep(); err != nil || !exists(f.path) {
			t.Fatalf("without %s: %v", gone, err)
		}
		if swept := Sweep(parent); len(swept) != 0 {
			t.Fatalf("swept %q, which is held again", swept)
		}
	}
}

func TestWhatTookItsNameIsNotUsed(t *testing.T) {
	for what, plant := range map[string]func(path string) error{
		"a file":              func(path string) error { return os.WriteFile(path, nil, 0o700) },
		"a symbolic link":     func(path string) error { return os.Symlink(os.TempDir(), path) },
		"a folder for others": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
	} {
		f := folder(t, t.TempDir())
		if err := errors.Join(os.Remove(f.path), plant(f.path)); err != nil {
			t.Fatal(err)
		}
		if err := f.Keep(); err == nil || what != "a file" && !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
		f.Remove()
		if !exists(f.path) {
			t.Errorf("%s: removed, though it is not ours", what)
		}
	}
}

func TestFoldersOfDeadProcessesAreSweptAndNoOthers(t *testing.T) {
	parent := t.TempDir()
	alive, dead, empty := folder(t, parent), folder(t, parent), folder(t, parent)
	strange, open, draining := folder(t, parent), folder(t, parent), folder(t, parent)
	for _, f := range []*Folder{alive, dead, strange, open, draining} {
		for _, suffix := range []string{"", ".lock", ".ready"} {
			put(t, f.Socket()+suffix)
		}
	}
	put(t, filepath.Join(strange.path, "precious"))
	if err := os.Chmod(open.path, 0o755); err != nil {
		t.Fatal(err)
	}
	sidecar, err := os.Open(draining.Socket() + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer sidecar.Close()
	if err := syscall.Flock(int(sidecar.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hotpath-1234", prefix + "link", "other"} {
		if err := os.Symlink(dead.path, filepath.Join(parent, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []*Folder{dead, empty, strange, open, draining} {
		f.die()
	}
	want := []string{dead.path, empty.path}
	slices.Sort(want)
	if swept := Sweep(parent); !slices.Equal(swept, want) {
		t.Fatalf("swept %q, want %q", swept, want)
	}
	for _, path := range append([]string{alive.Socket(), strange.Socket(), open.Socket(), draining.Socket()},
		filepath.Join(strange.path, "precious"), filepath.Join(parent, prefix+"link")) {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	_ = sidecar.Close()
	if swept := Sweep(parent); !slices.Equal(swept, []string{draining.path}) {
		t.Fatalf("swept %q", swept)
	}
}

// A new folder is not locked yet, so a sweeper may take it before its maker locks it.
func TestSweepersNeverTakeAFolderThatIsInUse(t *testing.T) {
	parent := t.TempDir()
	done := make(chan struct{})
	var sweepers, makers sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					Sweep(parent)
				}
			}
		})
	}
	for range 4 {
		makers.Go(func() {
			for range 100 {
				f, err := Make(parent)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(f.Socket(), nil, 0o600); err != nil {
					t.Error(err)
				}
				f.Remove()
			}
		})
	}
	makers.Wait()
	close(done)
	sweepers.Wait()
	if left, _ := filepath.Glob(filepath.Join(parent, "*")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
