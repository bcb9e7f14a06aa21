//go:build race

package e2e

// buildFlags make walletd look for races too, when these tests do.
var buildFlags = []string{"-race"}
