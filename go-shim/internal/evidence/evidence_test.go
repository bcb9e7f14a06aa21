package evidence

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func capture(method string) *Capture {
	return &Capture{Time: time.UnixMilli(1_800_000_000_123), Method: method, Position: 7, Answered: "go"}
}

func TestCapturesAreReadAsTheyAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "here")
	folder, err := Open(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for _, want := range []string{"mismatch-20270115T080000.123Z-a.B_C.json", "mismatch-20270115T080000.123Z-a.B_C-2.json"} {
		name, err := folder.Keep(capture("/a.B/C"))
		if err != nil || name != want {
			t.Errorf("%s, %v", name, err)
		}
		if c, err := Read(filepath.Join(path, name)); err != nil || c.Method != "/a.B/C" || c.Position != 7 {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if files, err := List(path); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestAFolderHoldsNoMoreThanItMay(t *testing.T) {
	path := t.TempDir()
	folder, err := Open(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	for range 10 {
		together.Go(func() { _, _ = folder.Keep(capture("/a.B/C")) })
	}
	together.Wait()
	files, err := List(path)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	if again, err := Open(path, 3); err != nil {
		t.Fatal(err)
	} else if _, err := again.Keep(capture("/a.B/C")); !errors.Is(err, ErrFull) {
		t.Errorf("after a restart: %v", err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Keep(capture("/a.B/C")); err != nil {
		t.Errorf("after one was removed: %v", err)
	}
	left, err := os.ReadDir(path)
	if err != nil || len(left) != 3 {
		t.Errorf("something else is left: %v, %v", left, err)
	}
}

func TestOtherFilesAreNoCaptures(t *testing.T) {
	folder := t.TempDir()
	for text, want := range map[string]string{
		"":                                "is no capture",
		"{":                               "is no capture",
		`{"version":1}`:                   "is no capture",
		`{"version":2,"method":"/a.B/C"}`: "is no capture",
	} {
		path := filepath.Join(folder, "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, ErrNoCapture) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read(folder); !errors.Is(err, ErrNoCapture) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Read(filepath.Join(folder, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestADemotionIsReadAsItIsKept(t *testing.T) {
	path := t.TempDir()
	folder, err := Open(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := Demotion{Method: "/a.B/C", Time: time.UnixMilli(1_800_000_000_123).UTC(), Capture: "c", Field: "f"}
	if err := folder.Demote(want); err != nil {
		t.Fatal(err)
	}
	marks, err := ListDemotions(path)
	if err != nil || len(marks) != 1 || marks[0] != DemotionPath(path, "/a.B/C") {
		t.Fatalf("%v, %v", marks, err)
	}
	if got, err := ReadDemotion(marks[0]); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}
