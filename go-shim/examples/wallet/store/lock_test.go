package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// locksOf returns the kinds of locks that the kernel has on a file.
func locksOf(t *testing.T, path string) (kinds []string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal("this test reads the kernel's list of locks: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)) {
			kinds = append(kinds, strings.Fields(line)[1])
		}
	}
	return kinds
}

func TestALinkIsNoWayAroundTheLock(t *testing.T) {
	path, other := tempPath(t), t.TempDir()
	s, _ := openLoaded(t, path, Options{})
	mustPost(t, s, deposit(1))
	symbolic, hard := filepath.Join(other, "symbolic.db"), filepath.Join(other, "hard.db")
	if err := errors.Join(os.Symlink(path, symbolic), os.Link(path, hard)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, symbolic, hard} {
		if _, err := Open(t.Context(), name, Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: got %v", filepath.Base(name), err)
		}
	}
	// If these attempts had opened and closed the file, this process would have lost SQLite's own locks.
	if locks := locksOf(t, path); !slices.Contains(locks, "POSIX") || !slices.Contains(locks, "FLOCK") {
		t.Errorf("the locks are %v", locks)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, hard} {
		if _, err := Open(t.Context(), name, Options{}); !errors.Is(err, ErrLinked) {
			t.Errorf("%s: got %v", filepath.Base(name), err)
		}
		if err := Scan(t.Context(), name, func(*walletv1.Transaction) {}); !errors.Is(err, ErrLinked) {
			t.Errorf("scan of %s: got %v", filepath.Base(name), err)
		}
	}
	if err := os.Remove(hard); err != nil {
		t.Fatal(err)
	}
	again, _ := openLoaded(t, symbolic, Options{})
	if again.Head() != 1 {
		t.Errorf("head %d", again.Head())
	}
}

// If another database is put at the path of one that is being served, it must not be opened: SQLite would give it the
// log of the served one.
func TestADatabaseThatWasMovedWhileServedKeepsItsLog(t *testing.T) {
	path := tempPath(t)
	s := openOnly(t, path, Options{})
	copyFile(t, path, path+".copy")
	if err := errors.Join(os.Rename(path, path+".moved"), os.Rename(path+".copy", path)); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
		again.Close()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLockIsOfTheFileThatIsThere(t *testing.T) {
	path := tempPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if first.isAt(path) {
		t.Error("nothing is there")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := lockFile(path)
	if err != nil || first.isAt(path) || !second.isAt(path) {
		t.Fatal(err)
	}
	defer second.close()
	if _, err := shareFile(path); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func TestAnEmptyFileMayHaveBeenALedger(t *testing.T) {
	path := tempPath(t)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{ReadAnyway: true}); !errors.Is(err, ErrEmpty) {
		t.Fatalf("got %v", err)
	}
	s := openOnly(t, path, Options{New: true})
	if !s.Created() {
		t.Error("not said to be new")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v: the file must stay the one that was there", info.Mode(), err)
	}
	// Once the file is a ledger, New changes nothing.
	if s := openOnly(t, path, Options{New: true}); s.Created() {
		t.Error("made anew")
	}
}

// SQLite would throw the log away, with the posts in it.
func TestALogWithoutItsDatabaseIsKept(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "wallet.db")
	s, _ := openLoaded(t, filepath.Join(t.TempDir(), "other.db"), Options{})
	mustPost(t, s, deposit(1))
	copyFile(t, logPath(s.path), logPath(path))
	size := logSize(path)
	for _, make := range []bool{false, true} {
		if make {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(t.Context(), path, Options{New: true, ReadAnyway: true})
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), logPath(path)) || logSize(path) != size {
			t.Errorf("got %v, log of %d bytes", err, logSize(path))
		}
	}
}

// An unfinished file of a killed process must neither be taken for a ledger nor prevent a new one.
func TestAStoreIsMadeWholeOrNotAtAll(t *testing.T) {
	path := tempPath(t)
	if err := os.WriteFile(path+".new", []byte(strings.Repeat("half a store", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := openLoaded(t, path, Options{})
	if !s.Created() {
		t.Error("not said to be new")
	}
	mustPost(t, s, deposit(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	dangling := filepath.Join(filepath.Dir(path), "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dangling, Options{}); !errors.Is(err, ErrCreate) || !strings.Contains(err.Error(), "symbolic link to nowhere") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), os.DevNull, Options{New: true}); !errors.Is(err, ErrNotStore) {
		t.Errorf("got %v", err)
	}
}
