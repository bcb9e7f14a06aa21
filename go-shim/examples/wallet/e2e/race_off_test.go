//go:build !race

package e2e

// buildFlags are none without -race.
var buildFlags []string
