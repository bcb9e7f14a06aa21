//go:build attack

package doors_test

import "time"

// Sizes in earnest. 50,000 connections need `ulimit -n 120000` first, in the shell that runs the tests.
const (
	full            = true
	idleConnections = 50_000
	hold            = 3 * time.Second
	patience        = 15 * time.Second
	pause           = time.Second
	// mostGrowth is how much memory both programs may gain by an attack: 128 MiB of unread replies before each of walletd's doors
	// and 256 MiB before hotpathd, what is under way to them, and what the collector has yet to find.
	mostGrowth = 1 << 30
)
