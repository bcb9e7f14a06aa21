//go:build !attack

package doors_test

import "time"

// Quick sizes, for every run of the test suite. `make attack` has the full ones.
const (
	full            = false
	idleConnections = 1_000
	hold            = 200 * time.Millisecond
	patience        = time.Second
	pause           = 5 * time.Millisecond
	// mostGrowth is how much memory both programs may gain, over all attacks.
	mostGrowth = 256 << 20
)
