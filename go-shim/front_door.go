package shim

import (
	"context"
	"errors"
	"fmt"
)

// FrontDoor says who reads hot requests from the connections of callers.
type FrontDoor uint8

const (
	// Stock is grpc-go's server.
	Stock FrontDoor = iota
	// Spliced answers hot requests below grpc-go, on the same connections, for a fraction of the CPU. Everything else goes
	// to grpc-go as before. Interceptors and stats handlers are not run for requests that the sidecar answers.
	Spliced
)

// ErrUnknownFrontDoor is the error of ParseFrontDoor for any other word.
var ErrUnknownFrontDoor = errors.New("must be stock or spliced")

// ParseFrontDoor reads a FrontDoor as String writes it.
func ParseFrontDoor(text string) (FrontDoor, error) {
	for _, door := range []FrontDoor{Stock, Spliced} {
		if text == door.String() {
			return door, nil
		}
	}
	return Stock, ErrUnknownFrontDoor
}

func (d FrontDoor) String() string {
	switch d {
	case Stock:
		return "stock"
	case Spliced:
		return "spliced"
	default:
		return fmt.Sprintf("front door(%d)", uint8(d))
	}
}

// SplicedDoor says what the spliced door may do without grpc-go.
type SplicedDoor struct {
	// SkipInterceptors opens the door on a server with interceptors. The sidecar then answers hot requests of which no
	// interceptor hears, not even one that authenticates callers: set Authorize instead of it. By default the door stays
	// shut on such a server: grpc-go gets all requests, and Check and the log say so.
	SkipInterceptors bool
	// AnyMetadata lets requests pass whose metadata the door does not know, such as authorization or keys of the
	// service's own. By default grpc-go gets those. It is implied by Authorize and by Config.Forwardable, which see the
	// metadata.
	AnyMetadata bool
	// Authorize, if not nil, is called for each request that the door would forward. The context has the request's
	// metadata and peer (with the state of TLS), as a handler's has, but no deadline. An error is the caller's status, as
	// a handler's would be.
	Authorize func(ctx context.Context, method string) error
	// Local answers the requests that the door leaves to the service on the callers' connections too: those of methods in
	// mode Legacy, and fallbacks. The shim then calls the local handlers itself, with the server's interceptors, where
	// grpc-go's server would do so for several times the CPU. Stats handlers, tap handles and channelz do not see such
	// requests, and grpc.SetSendCompressor and grpc.ClientSupportedCompressors return an error. The first request of each
	// method is still grpc-go's, because it shows the handler and the interceptors. So are all requests if hot methods
	// are registered with several servers. A registrar between Side.Wrap and the server that wraps handlers is passed
	// over.
	Local bool
	// MaxRecvMsgSize and MaxSendMsgSize must be what the service gives to grpc.MaxRecvMsgSize and grpc.MaxSendMsgSize, if
	// it does, because the shim can't read options. They apply to Local. The defaults are grpc-go's.
	MaxRecvMsgSize, MaxSendMsgSize int
}
