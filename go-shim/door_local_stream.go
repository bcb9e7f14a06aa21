package shim

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errIllegalHeader is grpc-go's error for headers that come too late.
func errIllegalHeader() error {
	return status.Error(codes.Internal, "transport: SendHeader called multiple times")
}

// Method implements grpc.ServerTransportStream.
func (c *localCall) Method() string { return c.name }

// SetHeader implements grpc.ServerTransportStream.
func (c *localCall) SetHeader(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call == nil || c.sent {
		return errIllegalHeader()
	}
	c.set.header = metadata.Join(c.set.header, md)
	return nil
}

// SendHeader implements grpc.ServerTransportStream. The headers leave with the answer.
func (c *localCall) SendHeader(md metadata.MD) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.call == nil && errors.Is(c.ctx.Err(), context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	case c.call == nil:
		return status.Error(codes.Canceled, context.Canceled.Error())
	case c.sent:
		return errIllegalHeader()
	}
	c.sent = true
	if md.Len() > 0 {
		c.set.header = metadata.Join(c.set.header, md)
	}
	return nil
}

// SetTrailer implements grpc.ServerTransportStream.
func (c *localCall) SetTrailer(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call == nil {
		return errIllegalHeader()
	}
	c.set.trailer = metadata.Join(c.set.trailer, md)
	return nil
}

// Header implements readable. Nobody changes what it returns, because every change makes another.
func (c *localCall) Header() (metadata.MD, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.header, nil
}

// Trailer implements readable.
func (c *localCall) Trailer() metadata.MD {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.trailer
}

// encoded is a message that may be in a pooled buffer.
type encoded struct {
	bytes []byte
	data  mem.BufferSlice
}

func newEncoded(data mem.BufferSlice) encoded {
	if len(data) == 1 {
		return encoded{data[0].ReadOnlyData(), data}
	}
	defer data.Free()
	return encoded{bytes: data.Materialize()}
}

func (e encoded) free() { e.data.Free() }
