package wire

import (
	"fmt"

	"hotpath.dev/go-shim/internal/h2"
)

// Sizes of HTTP/2 and of gRPC's framing.
const (
	prefixLen = 5
	// maxFrame is the longest frame that we take, and that any peer takes.
	maxFrame = 16 << 10
	// firstWindow is every window's size before anybody has changed it.
	firstWindow = 65535
	maxWindow   = 1<<31 - 1
)

// violated returns an error of the peer, which ends the connection.
func violated(code h2.ErrCode, format string, args ...any) error {
	return &h2.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
