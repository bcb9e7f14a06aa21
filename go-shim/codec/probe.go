package codec

import (
	"reflect"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
)

// Probe tells which codec a server has: one of this package keeps the bytes, as for a Raw, and any other decodes Message.
type Probe struct {
	proto.Message
	Raw Raw
	// taker is what a codec of this package wraps.
	taker encoding.CodecV2
}

// Taken says whether a codec of this package kept the bytes.
func (p *Probe) Taken() bool { return p.taker != nil }

// TakenBy says whether c did, or one of this package that wraps the same codec.
func (p *Probe) TakenBy(c encoding.CodecV2) bool {
	mine, ok := c.(passThrough)
	if !ok || p.taker == nil || reflect.TypeOf(p.taker) != reflect.TypeOf(mine.CodecV2) {
		return false
	}
	return !reflect.ValueOf(p.taker).Comparable() || p.taker == mine.CodecV2
}

// Decode hands the message to the handler that it is for, whoever decoded it.
func (p *Probe) Decode(into any) error {
	if p.taker != nil {
		return Decode(p.taker, p.Raw.Bytes, into)
	}
	message, ok := into.(proto.Message)
	if !ok || message.ProtoReflect().Descriptor() != p.ProtoReflect().Descriptor() {
		body, err := proto.Marshal(p.Message)
		if err != nil {
			return err
		}
		return Decode(New(nil), body, into)
	}
	proto.Merge(message, p.Message)
	return nil
}
