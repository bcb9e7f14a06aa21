// Package experiment holds the settings of a shim that only this repository's own measurements change: walletd and
// burnd compare the ways to the sidecar with them. Nothing outside the repository can import it.
package experiment

import (
	"errors"
	"fmt"
)

// Config is part of shim.Config. Every other user has the zero value.
type Config struct {
	// Hop is Batched by default.
	Hop Hop
	// OpenDoor opens the spliced door before the first request has shown what the server has.
	OpenDoor bool
}

// Hop says how a request crosses to the sidecar.
type Hop uint8

const (
	// Batched sends concurrent requests in common messages, on one stream per connection.
	Batched Hop = iota
	// Unary makes a gRPC call for each request. It costs several times as much, and is there for comparison.
	Unary
)

// ErrUnknownHop is the error of ParseHop for any other word.
var ErrUnknownHop = errors.New("must be batched or unary")

// ParseHop reads a Hop as String writes it.
func ParseHop(text string) (Hop, error) {
	for _, hop := range []Hop{Batched, Unary} {
		if text == hop.String() {
			return hop, nil
		}
	}
	return Batched, ErrUnknownHop
}

func (h Hop) String() string {
	switch h {
	case Batched:
		return "batched"
	case Unary:
		return "unary"
	default:
		return fmt.Sprintf("hop(%d)", uint8(h))
	}
}
