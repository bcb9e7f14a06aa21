// Package monitoring checks docs/monitoring with a real Prometheus and promtool: the alert rules, the dashboard and the
// example configuration, against the metrics of real walletds and hotpathds.
package monitoring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// found holds the paths that TestMain found or built. Nothing changes them later.
var found struct{ walletd, hotpathd, prometheus, promtool, root string }

// prometheusVariable names the prometheus to test with.
const prometheusVariable = "PROMETHEUS_BIN"

var errNoPrometheus = errors.New("no prometheus with promtool beside it: run `.ci/prometheus`, which unpacks Debian's package, " +
	"and put the path that it prints into " + prometheusVariable)

func TestMain(m *testing.M) { os.Exit(withBinaries(m)) }

func withBinaries(m *testing.M) int {
	dir, err := os.MkdirTemp("", "monitoring-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := find(dir); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: the tests of docs/monitoring need a Prometheus and both binaries:", err)
		return 1
	}
	return m.Run()
}

func find(dir string) (err error) {
	if found.root, err = rig.Root(); err != nil {
		return err
	}
	name := os.Getenv(prometheusVariable)
	if name == "" {
		name = "prometheus"
	}
	if found.prometheus, err = exec.LookPath(name); err != nil {
		return fmt.Errorf("%w: %w", errNoPrometheus, err)
	}
	if found.promtool, err = exec.LookPath(filepath.Join(filepath.Dir(found.prometheus), "promtool")); err != nil {
		return fmt.Errorf("%w: %w", errNoPrometheus, err)
	}
	if found.hotpathd, err = rig.FindHotpathd(); err != nil {
		return err
	}
	// With this flag, `make test` has built the same already.
	found.walletd, err = rig.FindWalletd(dir, "-trimpath")
	return err
}

// docs returns the path of a file in docs/monitoring.
func docs(name string) string { return filepath.Join(found.root, "docs", "monitoring", name) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
