package modes

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheKillFileIsSeenWhateverItIs(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "run", "kill")
	var seen []bool
	var failures int
	k := &KillFile{Path: path, Changed: func(there bool) { seen = append(seen, there) }, Failed: func(error) { failures++ }}
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
	if want := []bool{true, false, true, false, true}; !slices.Equal(seen, want) || failures != 1 || !k.There {
		t.Errorf("seen %v, want %v; %d failures, there: %v", seen, want, failures, k.There)
	}
	step(os.Remove(filepath.Dir(path)))
	if k.There || len(seen) != 6 {
		t.Errorf("seen %v", seen)
	}
}
