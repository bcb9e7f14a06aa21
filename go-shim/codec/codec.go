// Package codec lets chosen messages pass through grpc-go without being decoded.
package codec

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Raw is an encoded message. Handed to grpc-go where a message is due, its bytes go in and out as they are.
type Raw struct {
	Bytes []byte
}

// Shared is Raw for senders that use their buffers again, and receivers that read in place.
type Shared struct {
	// Buffer is given up when the message is sent, and must be freed by whoever received it.
	Buffer mem.Buffer
}

// passThrough must bear the name of the codec that it wraps: grpc-go finds codecs by the name in the content type.
type passThrough struct {
	encoding.CodecV2
}

// New wraps base, or the codec that is registered for proto if base is nil. Only the messages of this
// package are treated differently.
func New(base encoding.CodecV2) encoding.CodecV2 {
	if base == nil {
		base = encoding.GetCodecV2(proto.Name)
	}
	return passThrough{base}
}

// Marshal hands out the bytes themselves: a SliceBuffer is never pooled, so that the Free of grpc-go leaves them alone.
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

// Unmarshal copies into a Raw: grpc-go frees data when it returns, and the bytes must outlive a failed hop.
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

// Encode is Marshal into bytes that belong to the caller.
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

// Decode is Unmarshal from bytes that stay the caller's.
func Decode(c encoding.CodecV2, body []byte, v any) error {
	return c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(body)}, v)
}
