// Package e2e tests walletd and hotpathd together. It starts the real binaries as users do, and calls them over real
// sockets.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// binaries holds the paths of the binaries that TestMain found or built. Nothing changes them later.
var binaries struct{ walletd, hotpathd string }

func TestMain(m *testing.M) { os.Exit(withBinaries(m)) }

func withBinaries(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binaries.hotpathd, err = rig.FindHotpathd(); err == nil {
		binaries.walletd, err = rig.FindWalletd(dir, buildFlags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: e2e needs both binaries:", err)
		return 1
	}
	return m.Run()
}
