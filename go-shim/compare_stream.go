package shim

import (
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// unheard is the stream of a handler whose answer no caller gets. It remembers whether the handler set metadata.
type unheard struct {
	method string
	set    atomic.Bool
}

// Method implements grpc.ServerTransportStream.
func (u *unheard) Method() string { return u.method }

// SetHeader implements grpc.ServerTransportStream.
func (u *unheard) SetHeader(md metadata.MD) error {
	if len(added(nil, md)) > 0 {
		u.set.Store(true)
	}
	return nil
}

// SendHeader implements grpc.ServerTransportStream.
func (u *unheard) SendHeader(md metadata.MD) error { return u.SetHeader(md) }

// SetTrailer implements grpc.ServerTransportStream.
func (u *unheard) SetTrailer(md metadata.MD) error { return u.SetHeader(md) }
