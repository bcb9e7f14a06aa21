//go:build race

package e2e

// buildFlags builds walletd with the race detector too, if these tests are built with it.
var buildFlags = []string{"-race"}
