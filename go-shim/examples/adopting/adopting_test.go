//go:build adopting

package adopting

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reader does what the page says, in an empty folder outside the repository.
type reader struct {
	t      *testing.T
	folder string
	env    []string
	// printed is what the last command wrote to stdout.
	printed string
}

func TestThePageIsTrue(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "adopting.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks(string(page))
	if err != nil {
		t.Fatal(err)
	}
	// Cargo's build results are kept between runs of this test. The page itself installs its builds into bin.
	r := reader{t: t, folder: t.TempDir(), env: append(os.Environ(), "HOTPATH="+root,
		"CARGO_TARGET_DIR="+filepath.Join(root, "target", "adopting"))}
	seen := map[kind]int{}
	for _, one := range all {
		seen[one.kind]++
		r.follow(one)
	}
	if seen[file] < 5 || seen[run] < 5 || seen[serve] == 0 || seen[output] < 5 || seen[patch] == 0 {
		t.Errorf("the page has only %v", seen)
	}
}

func (r *reader) follow(one block) {
	r.t.Helper()
	began := time.Now()
	switch one.kind {
	case file:
		path := filepath.Join(r.folder, one.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(one.text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	case patch:
		cmd := r.command("patch -p0 " + one.path)
		cmd.Stdin = bytes.NewReader([]byte(one.text))
		if said, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("line %d: %v\n%s", one.line, err, said)
		}
	case run:
		cmd := r.command(one.text)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.Output()
		if err != nil {
			r.t.Fatalf("line %d: %v\n%s%s\n%s", one.line, err, one.text, stdout, &stderr)
		}
		r.printed = string(stdout)
		r.t.Logf("line %d took %v", one.line, time.Since(began).Round(time.Second))
	case serve:
		r.serve(one)
	case output:
		if strings.TrimSpace(one.text) != strings.TrimSpace(r.printed) {
			r.t.Fatalf("line %d shows\n%s, but this was printed:\n%s", one.line, one.text, r.printed)
		}
	}
}

func (r *reader) command(text string) *exec.Cmd {
	cmd := exec.CommandContext(r.t.Context(), "sh", "-euc", text)
	cmd.Dir, cmd.Env = r.folder, r.env
	return cmd
}

// serve starts a command that the page leaves running in a terminal. The command runs until the test ends.
func (r *reader) serve(one block) {
	r.t.Helper()
	cmd := exec.Command("sh", "-euc", "exec env "+one.text)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = r.folder, r.env, &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("line %d: %v", one.line, err)
		}
		if r.t.Failed() {
			r.t.Logf("line %d said\n%s", one.line, &said)
		}
	})
}
