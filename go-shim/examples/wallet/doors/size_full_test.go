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
	// mostGrowth is how much memory both programs may gain by an attack: 256 MiB of unread replies, what is under way to
	// them, and what the collector has yet to find. Most is under way: grpc-go runs the handlers of 4,000 calls at once, each
	// of which makes a reply of 172 kB before it is refused. That takes 0.8 to 1.5 GB.
	mostGrowth = 2 << 30
)
