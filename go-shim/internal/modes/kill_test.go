package modes

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestTheKillFileIsSeenWhateverItIs(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "run", "kill")
	var seen []bool
	var failures int
	var there bool
	k := &KillFile{Path: path, Lock: &sync.Mutex{}, Known: func() bool { return there },
		Changed: func(now bool) { seen, there = append(seen, now), now }, Failed: func(error) { failures++ }}
	step := func(do error) {
		t.Helper()
		if do != nil {
			t.Fatal(do)
		}
		k.poll()
	}
	step(nil) // not even its folder is there
	step(os.Mkdir(filepath.Dir(path), 0o700))
	step(os.WriteFile(path, nil, 0o000))
	step(os.WriteFile(filepath.Join(folder, "other"), nil, 0o600))
	step(os.Remove(path))
	step(os.Symlink("nowhere", path))
	step(os.Remove(path))
	step(os.Mkdir(path, 0o700))
	// The folder becomes a file, so that nothing can be said.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	step(os.WriteFile(filepath.Dir(path), nil, 0o600))
	step(nil)
	if want := []bool{true, false, true, false, true}; !slices.Equal(seen, want) || failures != 1 || !there {
		t.Errorf("seen %v, want %v; %d failures, there: %v", seen, want, failures, there)
	}
	step(os.Remove(filepath.Dir(path)))
	if there || len(seen) != 6 {
		t.Errorf("seen %v", seen)
	}
	// Somebody has made the file and said so, and another removes it before the next look.
	there = true
	step(nil)
	if there || len(seen) != 7 {
		t.Errorf("seen %v", seen)
	}
}

func TestTheKillFileSaysWhoMadeIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kill")
	at := time.UnixMilli(1_800_000_000_000)
	for _, who := range []string{"ann", "bob"} {
		if err := Kill(path, who, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := KilledBy(path); got != "bob rolled back at 2027-01-15T08:00:00Z" {
		t.Error(got)
	}
	for _, want := range []bool{true, false} {
		if was, err := Resume(path); err != nil || was != want {
			t.Errorf("%v, %v", was, err)
		}
	}
	if KilledBy(path) != "" {
		t.Error("nobody did")
	}
}
