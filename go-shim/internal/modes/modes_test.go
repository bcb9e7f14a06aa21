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
		`default = "legacy"`:                                             {Legacy, Legacy},
		"default = \"legacy\"\n[methods]\n":                              {Legacy, Legacy},
		"[methods]\n\"/a.B/D\" = \"legacy\"":                             {Sidecar, Legacy},
		"default = \"legacy\"\n[methods]\n'/a.B/C' = \"sidecar\"\r\n":    {Sidecar, Legacy},
		"default = \"canary 5%\"\n[methods]\n'/a.B/C' = \"canary 100%\"": {Canary(100), Canary(5)},
	} {
		got, err := Load(write(t, text), hot, Uniform(2, Sidecar))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestMistakesNameFileLineKeyAndRule(t *testing.T) {
	for text, wants := range map[string][]string{
		"default = \"fast\"": {`:1: default: must be "legacy", "shadow", "shadow N%", "canary N%"`},
		"\n[methods]\n\"/a.B/C\" = \"x\"\n\"/a.B/E\" = \"legacy\"": {
			`:3: /a.B/C: must be "legacy", "shadow", "shadow N%", "canary N%"`, ":4: /a.B/E: is not one of the hot methods"},
		"":                             {": says nothing: it must name a default, or a method under [methods]"},
		" \r\n\n":                      {": says nothing: "},
		"# default = \"legacy\"\n":     {": says nothing: "},
		"[methods]\n":                  {": says nothing: "},
		"# only\n\n[methods]":          {": says nothing: "},
		"\x00\x00\x00\x00":             {":1: "},
		"defualt = \"legacy\"":         {":1: defualt: is not a known key"},
		"default = \"legacy\"\n[mode]": {":2: mode: is not a known key"},
		"default = 3":                  {`:1: default: must be "legacy", "shadow", "shadow N%", "canary N%"`},
		"methods = 3":                  {":1: methods: must be a table"},
		"[methods.\"/a.B/C\"]\nx = 1":  {`: /a.B/C: must be "legacy", "shadow", "shadow N%", "canary N%"`},
		"x = [":                        {":1: x: "},
		"[methods]\n\"/a.B/C\" = \"legacy\"\n\"/a.B/C\" = \"legacy\"": {":3: methods./a.B/C: "},
	} {
		path := write(t, text)
		_, err := Load(path, hot, Uniform(2, Sidecar))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), path+want) {
				t.Errorf("%q: got %v, want %s", text, err, want)
			}
		}
	}
}

func TestMissingAndUnfitFiles(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "absent"), hot, Uniform(2, Sidecar)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	var mistake *Mistake
	if _, err := Load(t.TempDir(), hot, Uniform(2, Sidecar)); !errors.As(err, &mistake) {
		t.Errorf("directory: %v", err)
	}
}

// watched is a Watcher of a file that says legacy, and what the Watcher reported.
type watched struct {
	*Watcher
	tables   []Table
	failures []error
}

func watch(t *testing.T) *watched {
	t.Helper()
	path := write(t, legacy)
	table, err := Load(path, hot, Uniform(2, Sidecar))
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	w.Watcher = &Watcher{Path: path, Methods: hot, Before: Uniform(2, Sidecar), Table: table,
		Changed: func(t Table, _ string) { w.tables = append(w.tables, t) },
		Failed:  func(err error) { w.failures = append(w.failures, err) }}
	return w
}

const legacy = `default = "legacy"`

// put replaces what is at the path by a file with this text.
func (w *watched) put(t *testing.T, text string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(w.Path), os.WriteFile(w.Path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) polls(n int) {
	for range n {
		w.poll()
	}
}

func TestWatcherReportsEachContentOnce(t *testing.T) {
	w := watch(t)
	step := func(what string, change func(), wantTables, wantFailures int) {
		t.Helper()
		change()
		w.polls(5)
		if len(w.tables) != wantTables || len(w.failures) != wantFailures {
			t.Fatalf("after %s: %d tables, failures %v", what, len(w.tables), w.failures)
		}
	}
	put := func(text string) func() { return func() { w.put(t, text) } }
	remove := func() { _ = os.RemoveAll(w.Path) }
	step("the same", put(legacy), 0, 0)
	step("only a comment more", put(legacy+"\n# a note"), 0, 0)
	step("empty", put(""), 0, 1)
	step("only a comment", put("# nothing"), 0, 2)
	step("the first again", put(legacy), 1, 2)
	step("bad", put(`default = "bad"`), 1, 3)
	step("removed", remove, 1, 4)
	step("bad again", put(`default = "bad"`), 1, 5)
	step("sidecar", put(`default = "sidecar"`), 2, 5)
	step("removed again", remove, 2, 6)
	step("a folder", func() { _ = os.Mkdir(w.Path, 0o700) }, 2, 7)
	step("sidecar again", put(`default = "sidecar"`), 3, 7)
	step("no method that is known", put("[methods]\n\"/a.B/E\" = \"legacy\""), 3, 8)
	step("not readable", func() { _ = os.RemoveAll(w.Path); _ = os.Symlink(w.Path, w.Path) }, 3, 9)
	step("legacy", put(legacy), 4, 9)
}

// `: > modes.toml` must not undo a rollback.
func TestAFileThatSaysNothingLeavesTheLastGoodModes(t *testing.T) {
	for _, text := range []string{"", "\n", "# default = \"legacy\"", "[methods]", "default = \"lega"} {
		w := watch(t)
		w.put(t, text)
		w.polls(5)
		if len(w.tables) != 0 || !slices.Equal(w.Table, Table{Legacy, Legacy}) || len(w.failures) != 1 {
			t.Errorf("%q: tables %v, in force %v, failures %v", text, w.tables, w.Table, w.failures)
		}
	}
}

// An editor that writes in place shows the beginning of a file for a moment, and that may be valid TOML.
func TestWhatIsStillBeingWrittenIsNotTaken(t *testing.T) {
	w := watch(t)
	rewritten := "default = \"sidecar\"\n[methods]\n\"/a.B/C\" = \"legacy\"\n\"/a.B/D\" = \"legacy\"\n"
	for end := range len(rewritten) + 1 {
		w.put(t, rewritten[:end])
		w.polls(1)
	}
	if len(w.tables) != 0 || len(w.failures) != 0 {
		t.Fatalf("half a file was judged: tables %v, failures %v", w.tables, w.failures)
	}
	w.put(t, "[methods]\n\"/a.B/D\" = \"legacy\"\n")
	w.polls(2)
	if want := (Table{Sidecar, Legacy}); len(w.tables) != 1 || !slices.Equal(w.Table, want) {
		t.Fatalf("in force %v, want %v; failures %v", w.Table, want, w.failures)
	}
}
