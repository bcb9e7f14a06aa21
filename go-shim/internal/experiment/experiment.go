// Package experiment is what this repository's own measurements change in a shim, and nobody else should: walletd and
// burnd compare the ways to the sidecar with it. Nothing outside the repository can import it.
package experiment

import (
	"errors"
	"fmt"
)

// Config is part of shim.Config. The zero value is what everybody has.
type Config struct {
	// Hop is Batched by default.
	Hop Hop
}

// Hop is how a request crosses to the sidecar.
type Hop uint8

const (
	// Batched sends what is under way at once in common messages, on one stream a connection.
	Batched Hop = iota
	// Unary makes a gRPC call of each request. It costs several times as much; it is there to compare with.
	Unary
)

// ErrUnknownHop is what ParseHop says of any other word.
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
