package modes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEditChangesOneModeAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		before, key string
		mode        Mode
		after       string
	}{
		{"", "default", Legacy, "default = \"legacy\"\n"},
		{"# ours\ndefault = \"legacy\"  # until Monday\n", "default", Canary(5), "# ours\ndefault = \"canary 5%\" # until Monday\n"},
		{"default = \"legacy\"\n", "/a.B/C", Sidecar, "default = \"legacy\"\n[methods]\n\"/a.B/C\" = \"sidecar\"\n"},
		{"[methods] \n'/a.B/D' = \"legacy\"", "/a.B/C", Sidecar, "[methods] \n\"/a.B/C\" = \"sidecar\"\n'/a.B/D' = \"legacy\"\n"},
		{"[methods]\n# first\n'/a.B/D'=\"legacy\"\r\n", "/a.B/D", Canary(100), "[methods]\n# first\n\"/a.B/D\" = \"canary 100%\"\n"},
		{"[methods]\n\"/a.B/D\" = \"legacy\"\n", "default", Sidecar, "default = \"sidecar\"\n[methods]\n\"/a.B/D\" = \"legacy\"\n"},
	} {
		got, err := Edit([]byte(c.before), c.key, c.mode)
		if err != nil || string(got) != c.after {
			t.Errorf("%q, %s: got %q, %v; want %q", c.before, c.key, got, err, c.after)
		}
	}
	for before, key := range map[string]string{
		"default = ": "default", "default = 3": "default", "default = \"legacy\"": "GetBalance",
		"methods = { \"/a.B/C\" = \"legacy\" }":                       "/a.B/C",
		"default = \"\"\"\nlegacy\"\"\"":                              "default",
		"[methods]\n\"/a.B/\\u0043\" = \"legacy\"\n":                  "/a.B/C",
		"[methods]\n\"/a.B/C\" = \"legacy\"\n\"/a.B/C\" = \"legacy\"": "/a.B/C",
	} {
		if got, err := Edit([]byte(before), key, Sidecar); err == nil {
			t.Errorf("%q, %s: got %q", before, key, got)
		}
	}
}

func TestReplaceKeepsPermissionsAndLinks(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "real"), filepath.Join(folder, "link")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if target, err := os.Readlink(link); err != nil || target != "real" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if content, err := os.ReadFile(link); err != nil || string(content) != "new" {
		t.Errorf("%q, %v", content, err)
	}
	if err := Replace(filepath.Join(folder, "absent"), nil); err == nil {
		t.Error("there is nothing to replace")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("%s is left", entry.Name())
		}
	}
}

func TestAChangeSaysWhoMadeIt(t *testing.T) {
	path := write(t, "# ours\ndefault = \"legacy\"\n")
	at := time.UnixMilli(1_800_000_000_000)
	if Author([]byte("default = 1")) != "" {
		t.Error("an author of nothing")
	}
	before, err := Change(path, DefaultKey, Shadow(100), "ann", at)
	if err != nil || before != "legacy" {
		t.Fatalf("%q, %v", before, err)
	}
	if before, err = Change(path, "/a.B/C", Canary(5), "bob\n[methods]", at); err != nil || before != "" {
		t.Fatalf("%q, %v", before, err)
	}
	content, err := Read(path)
	const want = "# changed by bob [methods] at 2027-01-15T08:00:00Z: /a.B/C is canary 5%, was not named\n# ours\ndefault = \"shadow\"\n[methods]\n\"/a.B/C\" = \"canary 5%\"\n"
	if err != nil || string(content) != want {
		t.Errorf("%v:\n%s", err, content)
	}
	if got := Author(content); got != "bob [methods] at 2027-01-15T08:00:00Z: /a.B/C is canary 5%, was not named" {
		t.Error(got)
	}
}
