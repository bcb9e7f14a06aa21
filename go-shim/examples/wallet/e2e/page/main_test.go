// Package page looks at the status page in a real browser: at walletd's own, and at pages of shims that are made up, in states
// that a healthy pair does not show.
package page

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// browserVariable names the browser, as for the tests of loadtest's report.
const browserVariable = "BROWSER_BIN"

// picturesVariable names a folder that keeps the screenshots, for people to look at. Without it they are checked and dropped.
const picturesVariable = "PAGE_PICTURES"

// programs holds the paths of what TestMain found or built. Nothing changes them later.
var programs struct{ browser, walletd, hotpathd string }

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "page-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	browser, noBrowser := findBrowser()
	hotpathd, noHotpathd := rig.FindHotpathd()
	walletd, noWalletd := rig.FindWalletd(dir)
	if err := errors.Join(noBrowser, noHotpathd, noWalletd); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: these tests need a browser and both binaries:", err)
		return 1
	}
	programs.browser, programs.hotpathd, programs.walletd = browser, hotpathd, walletd
	return m.Run()
}

// findBrowser returns the browser that BROWSER_BIN names, or the first one that is installed.
func findBrowser() (string, error) {
	if path := os.Getenv(browserVariable); path != "" {
		return exec.LookPath(path)
	}
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no browser: none of %q is on the PATH; install one (Debian: apt-get install chromium), or name one by %s", names, browserVariable)
}

// pictures is the folder for screenshots.
func pictures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(picturesVariable)
	if dir == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
