//go:build !race

package e2e

// buildFlags is empty without -race.
var buildFlags []string
