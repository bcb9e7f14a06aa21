package modes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var hot = []string{"/a.B/C", "/a.B/D"}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "modes.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	for text, want := range map[string]Table{
		"":                                   {Sidecar, Sidecar},
		`default = "legacy"`:                 {Legacy, Legacy},
		"[methods]\n":                        {Sidecar, Sidecar},
		"# only\n\n[methods]":                {Sidecar, Sidecar},
		"[methods]\n\"/a.B/D\" = \"legacy\"": {Sidecar, Legacy},
		"default = \"legacy\"\n[methods]\n'/a.B/C' = \"sidecar\"\r\n": {Sidecar, Legacy},
	} {
		got, err := Load(write(t, text), hot, Sidecar)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestMistakesNameFileLineKeyAndRule(t *testing.T) {
	for text, wants := range map[string][]string{
		"default = \"fast\"": {`:1: default: must be "legacy" or "sidecar"`},
		"\n[methods]\n\"/a.B/C\" = \"x\"\n\"/a.B/E\" = \"legacy\"": {
			`:3: /a.B/C: must be "legacy" or "sidecar"`, ":4: /a.B/E: is not one of the hot methods"},
		"defualt = \"legacy\"":         {":1: defualt: is not a known key"},
		"default = \"legacy\"\n[mode]": {":2: mode: is not a known key"},
		"default = 3":                  {`:1: default: must be "legacy" or "sidecar"`},
		"methods = 3":                  {":1: methods: must be a table"},
		"[methods.\"/a.B/C\"]\nx = 1":  {`: /a.B/C: must be "legacy" or "sidecar"`},
		"x = [":                        {":1: x: "},
		"[methods]\n\"/a.B/C\" = \"legacy\"\n\"/a.B/C\" = \"legacy\"": {":3: methods./a.B/C: "},
	} {
		path := write(t, text)
		_, err := Load(path, hot, Sidecar)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), path+want) {
				t.Errorf("%q: got %v, want %s", text, err, want)
			}
		}
	}
}

func TestMissingAndUnfitFiles(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "absent"), hot, Sidecar); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	var mistake *Mistake
	if _, err := Load(t.TempDir(), hot, Sidecar); !errors.As(err, &mistake) {
		t.Errorf("directory: %v", err)
	}
}

func TestWatcherReportsEachContentOnce(t *testing.T) {
	path := write(t, "")
	var tables []Table
	var failures []error
	w := Watcher{Path: path, Methods: hot, Fallback: Sidecar, Table: Uniform(len(hot), Sidecar),
		Changed: func(t Table) { tables = append(tables, t) }, Failed: func(err error) { failures = append(failures, err) }}
	step := func(text string, wantTables, wantFailures int) {
		t.Helper()
		if text == "remove" {
			_ = os.Remove(path)
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.poll()
		w.poll()
		if len(tables) != wantTables || len(failures) != wantFailures {
			t.Fatalf("after %q: %d tables, failures %v", text, len(tables), failures)
		}
	}
	step("", 0, 0)
	step("# only a comment", 0, 0)
	step(`default = "legacy"`, 1, 0)
	step(`default = "bad"`, 1, 1)
	step("remove", 1, 2)
	step(`default = "bad"`, 1, 3)
	step(`default = "sidecar"`, 2, 3)
	step("remove", 2, 4)
	step(`default = "sidecar"`, 3, 4)
}
