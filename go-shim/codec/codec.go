// Package codec lets chosen messages pass through grpc-go without being decoded.
//
// New wraps the codec of a service. The result treats four types in its own way, and leaves all other messages to the
// service's codec:
//
//   - Raw holds the bytes of a message.
//   - Shared holds them in a buffer that goes back to its pool.
//   - Watched reports when the bytes of a sent message have left grpc-go.
//   - Probe finds out whether a server has a codec of this package.
package codec

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Raw is an encoded message. Give it to grpc-go in place of a typed message, and grpc-go sends its bytes, or stores the
// received bytes in it, as they are.
type Raw struct {
	Bytes []byte
}

// Shared is like Raw, for senders that reuse their buffers and for receivers that read in place.
type Shared struct {
	// Buffer belongs to grpc-go once the message is sent. Whoever receives a message must free its Buffer.
	Buffer mem.Buffer
}

// passThrough keeps the name of the codec that it wraps, because grpc-go finds codecs by the name in the content type.
type passThrough struct {
	encoding.CodecV2
}

// New wraps base, or the codec that is registered for proto if base is nil. Only the types of this package are treated
// differently.
func New(base encoding.CodecV2) encoding.CodecV2 {
	if base == nil {
		base = encoding.GetCodecV2(proto.Name)
	}
	return passThrough{base}
}

// Marshal returns the bytes of a Raw without a copy. A SliceBuffer belongs to no pool, so grpc-go's Free leaves the
// bytes alone.
func (c passThrough) Marshal(v any) (mem.BufferSlice, error) {
	switch message := v.(type) {
	case *Raw:
		return mem.BufferSlice{mem.SliceBuffer(message.Bytes)}, nil
	case *Shared:
		return mem.BufferSlice{message.Buffer}, nil
	case *Watched:
		return c.marshalWatched(message)
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal copies the bytes into a Raw, because grpc-go frees data when Unmarshal returns, and the bytes must outlive
// a failed hop.
func (c passThrough) Unmarshal(data mem.BufferSlice, v any) error {
	switch message := v.(type) {
	case *Raw:
		message.Bytes = data.Materialize()
		return nil
	case *Shared:
		message.Buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	case *Probe:
		message.Raw.Bytes, message.taker = data.Materialize(), c.CodecV2
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Encode is like Marshal, but returns bytes that belong to the caller.
func Encode(c encoding.CodecV2, v any) ([]byte, error) {
	data, err := c.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(data) == 1 {
		if own, ok := data[0].(mem.SliceBuffer); ok {
			return own, nil
		}
	}
	defer data.Free()
	return data.Materialize(), nil
}

// Decode is like Unmarshal, for bytes that stay the caller's.
func Decode(c encoding.CodecV2, body []byte, v any) error {
	return c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(body)}, v)
}
