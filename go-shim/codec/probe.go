package codec

import (
	"reflect"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
)

// Probe finds out which codec a server has. A codec of this package keeps the bytes, as for a Raw. Any other codec
// decodes them into Message.
type Probe struct {
	proto.Message
	Raw Raw
	// taker is the codec beneath the codec of this package that kept the bytes. It is nil if there was none.
	taker encoding.CodecV2
}

// Taken says whether a codec of this package kept the bytes.
func (p *Probe) Taken() bool { return p.taker != nil }

// TakenBy says whether c kept the bytes, or another codec of this package that wraps the same codec as c does. Wrapped
// codecs that can't be compared count as the same if they have the same type.
func (p *Probe) TakenBy(c encoding.CodecV2) bool {
	mine, ok := c.(passThrough)
	if !ok || p.taker == nil || reflect.TypeOf(p.taker) != reflect.TypeOf(mine.CodecV2) {
		return false
	}
	return !reflect.ValueOf(p.taker).Comparable() || p.taker == mine.CodecV2
}

// Decode gives the message to the handler that it is for, whichever codec received it.
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
