//go:build adopting

package adopting

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const consumer = `package main

import (
	"context"
	"fmt"

	shim "hotpath.dev/go-shim"
	_ "hotpath.dev/go-shim/codec"
	_ "hotpath.dev/go-shim/frontdoor"
	"hotpath.dev/go-shim/position"
	_ "hotpath.dev/go-shim/shimotel"
	_ "hotpath.dev/go-shim/shimprom"
	_ "hotpath.dev/go-shim/shimtest"
	_ "hotpath.dev/go-shim/tracing"
)

func main() {
	_, err := shim.Open(context.Background(), shim.Config{}, nil)
	fmt.Println(err != nil, position.Key)
}
`

// TestTheTaggedModulesCanBeRequired packs the shim and its modules frontdoor and shimotel as a Go module proxy would after the
// tags go-shim/v0.1.0, go-shim/frontdoor/v0.1.0 and go-shim/shimotel/v0.1.0. A module that has no `replace` then downloads them
// and builds a program with their public packages.
func TestTheTaggedModulesCanBeRequired(t *testing.T) {
	const path, tag = "hotpath.dev/go-shim", "v0.1.0"
	proxy := t.TempDir()
	publish(t, proxy, module.Version{Path: path, Version: tag}, filepath.Join("..", ".."))

	// Their releases require the shim that was tagged before them (ARCHITECTURE.md, "Releases").
	for _, name := range []string{"frontdoor", "shimotel"} {
		folder := t.TempDir()
		if err := os.CopyFS(folder, os.DirFS(filepath.Join("..", "..", name))); err != nil {
			t.Fatal(err)
		}
		goCommand(t, folder, nil, "mod", "edit", "-dropreplace="+path, "-require="+path+"@"+tag)
		publish(t, proxy, module.Version{Path: path + "/" + name, Version: tag}, folder)
	}

	// The module cache is this test's own, since a cached version is never downloaded again. What the shim depends on
	// comes from the cache that exists, if it is there.
	downloaded := filepath.Join(strings.TrimSpace(goCommand(t, ".", nil, "env", "GOMODCACHE")), "cache", "download")
	others := strings.TrimSpace(goCommand(t, ".", nil, "env", "GOPROXY"))
	env := append(os.Environ(), "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GOWORK=off",
		"GONOSUMDB=hotpath.dev/*", "GONOPROXY=none", "GOPRIVATE=",
		"GOPROXY=file://"+proxy+",file://"+downloaded+","+others)

	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(consumer), 0o644); err != nil {
		t.Fatal(err)
	}
	goCommand(t, folder, env, "mod", "init", "example.com/consumer")
	goCommand(t, folder, env, "get", path+"@"+tag, path+"/frontdoor@"+tag, path+"/shimotel@"+tag)
	goCommand(t, folder, env, "mod", "tidy")
	if got := goCommand(t, folder, env, "run", "."); got != "true x-hotpath-position\n" {
		t.Errorf("the program printed %q", got)
	}
	if got := goCommand(t, folder, env, "list", "-m", path); got != path+" "+tag+"\n" {
		t.Errorf("the program was built with %q", got)
	}
}

// publish writes the module to a folder in the layout of the module proxy protocol.
func publish(t *testing.T, proxy string, version module.Version, from string) {
	t.Helper()
	folder := filepath.Join(proxy, version.Path, "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(from, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(goMod), "replace") {
		t.Errorf("those who require the shim would not get what its go.mod replaces:\n%s", goMod)
	}
	for name, text := range map[string]string{
		"list":                    version.Version + "\n",
		version.Version + ".info": fmt.Sprintf("{\"Version\":%q}\n", version.Version),
		version.Version + ".mod":  string(goMod),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := os.Create(filepath.Join(folder, version.Version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := zip.CreateFromDir(packed, version, from); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
}

// goCommand runs go in a folder and returns what it printed to stdout.
func goCommand(t *testing.T, folder string, env []string, arguments ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", arguments...)
	cmd.Dir, cmd.Env = folder, env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(arguments, " "), err, stdout, &stderr)
	}
	return string(stdout)
}
