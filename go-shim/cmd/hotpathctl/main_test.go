package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// call runs a command, and returns what it printed and its exit code.
func call(t *testing.T, args ...string) (string, int, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	var f failure
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return out.String(), 0, err
	case errors.As(err, &f):
		return out.String(), f.code, err
	default:
		return out.String(), 1, err
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "modes.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestModesAreShownAndSet(t *testing.T) {
	path := file(t, "default = \"legacy\"\n[methods]\n\"/a.B/C\" = \"sidecar\"\n")
	kill := filepath.Join(t.TempDir(), "kill")
	for _, step := range []struct{ args, want string }{
		{"show", "legacy       default\nsidecar      /a.B/C\n"},
		{"set /a.B/D canary_25%", "/a.B/D: canary 25%, was not named\n"},
		{"set default sidecar", "default: sidecar, was legacy\n"},
		{"set /a.B/C legacy", "/a.B/C: legacy, was sidecar\n"},
		{"show", "sidecar      default\nlegacy       /a.B/C\ncanary 25%   /a.B/D\n"},
	} {
		words := strings.Fields(step.args)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "_", " ")
		}
		out, code, err := call(t, append([]string{words[0], "--modes", path}, words[1:]...)...)
		if code != 0 || out != step.want {
			t.Errorf("%s: exit %d, %v:\n%s", step.args, code, err, out)
		}
	}
	for range 2 {
		if out, code, err := call(t, "rollback", "--kill-file", kill); code != 0 || !strings.Contains(out, "rolled back") {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
	}
	if text, err := os.ReadFile(kill); err != nil || strings.Count(string(text), "rolled back at") != 2 {
		t.Errorf("the kill file does not say who: %q, %v", text, err)
	}
	if out, _, _ := call(t, "show", "--modes", path, "--kill-file", kill); !strings.Contains(out, "all hot methods are legacy") {
		t.Errorf("the rollback is not shown: %s", out)
	}
	for _, want := range []string{"is removed", "there was no rollback"} {
		if out, code, err := call(t, "resume", "--kill-file", kill); code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	path, folder := file(t, "default = \"legacy\"\n"), t.TempDir()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "name a command"}, {"shwo", exitUsage, `no command "shwo"`}, {"show", exitUsage, "--modes is required"},
		{"set --modes " + path, exitUsage, "needs a method, or default, and a mode"},
		{"set --modes " + path + " default fast", exitUsage, `mode "fast": must be "legacy"`},
		{"set --modes " + path + " default legacy more", exitUsage, `unexpected argument "more"`},
		{"set --modes " + path + " GetBalance legacy", exitFile, "full name of a method"},
		{"set --modes " + path + ".x default legacy", exitFile, "no such file"},
		{"show --modes " + file(t, "x = "), exitFile, "--modes: toml"},
		{"show --within 0s --modes " + path, exitUsage, "--within 0s: must be above 0"},
		{"show --what", exitUsage, "flag provided but not defined: -what"},
		{"rollback", exitUsage, "--kill-file is required"}, {"resume now", exitUsage, `unexpected argument "now"`},
		{"rollback --kill-file " + folder, exitFile, "is a directory"},
		{"explain", exitUsage, "explain needs a capture"}, {"explain " + path, exitFile, "is no capture"},
		{"explain " + path + ".x", exitFile, "no such file"}, {"lift /a.B/C", exitUsage, "--evidence is required"},
		{"lift --evidence " + folder, exitUsage, "lift needs a method"}, {"lift --evidence " + path + " /a.B/C", exitFile, "not a directory"},
		{"resume --kill-file " + path + "/x", exitFile, "not a directory"},
	} {
		if _, code, err := call(t, strings.Fields(c.args)...); code != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: exit %d, %v", c.args, code, err)
		}
	}
	for _, help := range []string{"help", "--help", "set --help"} {
		if out, code, _ := call(t, strings.Fields(help)...); code != 0 || !strings.Contains(out, "Exit codes") {
			t.Errorf("%s: exit %d: %s", help, code, out)
		}
	}
}

// The command waits until the service shows what it was told. A method with a mode of its own does not follow the default.
func TestItWaitsUntilTheServiceShowsIt(t *testing.T) {
	path := file(t, "default = \"legacy\"\n[methods]\n\"/a.B/C\" = \"canary 3%\"\n")
	kill := filepath.Join(t.TempDir(), "kill")
	var asked atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		percent, killed := 0, 0
		if asked.Add(1)%3 == 0 { // not at once
			percent = 100
			if _, err := os.Stat(kill); err == nil {
				killed = 1
			}
		}
		fmt.Fprintf(w, "# HELP hotpath_shim_killed 7\nhotpath_shim_killed %d\nhotpath_shim_killed_not 9\n", killed)
		fmt.Fprintln(w, "hotpath_shim_checked_percent{method=\"/a.B/C\"} 0\nhotpath_shim_checked_percent{method=\"/a.B/D\"} 0")
		fmt.Fprintf(w, "hotpath_shim_forwarded_percent{method=\"/a.B/C\"} 3\nhotpath_shim_forwarded_percent{method=\"/a.B/D\"} %d\n", percent)
	}))
	defer service.Close()
	for _, args := range [][]string{
		{"set", "--modes", path, "--metrics", service.URL, "default", "sidecar"},
		{"set", "--modes", path, "--metrics", service.URL, "/a.B/C", "canary 3%"},
		{"rollback", "--kill-file", kill, "--metrics", service.URL}, {"resume", "--kill-file", kill, "--metrics", service.URL},
	} {
		if out, code, err := call(t, args...); code != 0 || !strings.Contains(out, "the service shows it") {
			t.Errorf("%v: exit %d, %v: %s", args, code, err, out)
		}
	}
	_, code, err := call(t, "set", "--modes", path, "--metrics", service.URL, "--within", "50ms", "/a.B/C", "canary 4%")
	if code != exitNotSeen || !strings.Contains(err.Error(), "does not show it within 50ms") {
		t.Errorf("exit %d, %v", code, err)
	}
	service.Close()
	if _, code, err = call(t, "rollback", "--kill-file", kill, "--metrics", service.URL, "--within", "50ms"); code != exitNotSeen {
		t.Errorf("exit %d, %v", code, err)
	}
	if _, err := os.Stat(kill); err != nil {
		t.Errorf("the rollback needs no service: %v", err)
	}
}
