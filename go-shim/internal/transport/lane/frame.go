package lane

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"hotpath.dev/go-shim/internal/transport"
)

// Limits of exchange.proto.
const (
	maxMessageBytes = 1 << 20
	maxBodyBytes    = 64 << 10
	maxTraceBytes   = 512
	maxStatusBytes  = 4 << 10
	maxInFlight     = 1024
	maxBudget       = time.Minute
)

// Tags of exchange.proto: number<<3, plus 1 for a fixed64 or 2 for bytes.
const (
	tagRequests  = 1<<3 | 2
	tagCancelled = 2<<3 | 2

	tagID          = 1<<3 | 1
	tagMethod      = 2 << 3
	tagBudget      = 3 << 3
	tagMin         = 4 << 3
	tagAt          = 5 << 3
	tagBody        = 6<<3 | 2
	tagTraceparent = 7<<3 | 2
	tagTracestate  = 8<<3 | 2
)

// cancelledRoom is the most room that the cancellations of a message need. While one message waits, a slot can be
// cancelled twice: its old request, whose reply comes first all the same, and a new one in the same message.
const cancelledRoom = 1 + 5 + 2*8*maxInFlight

// frame is a request as it is written to a message.
type frame struct {
	id                      uint64
	method                  uint32
	budget                  uint32 // µs
	bounds                  transport.Bounds
	body                    []byte
	traceparent, tracestate string
}

// newFrame makes a frame that lacks only its id.
func newFrame(request *transport.Request, method uint32) frame {
	f := frame{method: method, bounds: request.Bounds, body: request.Body}
	f.budget = uint32(max(1, min(request.Budget, maxBudget).Microseconds()))
	if request.Bounds.HasAt {
		f.bounds.Min = 0
	}
	// What a caller sends must not end the lane. An over-long trace context may be dropped; without its parent the
	// state means nothing.
	if f.traceparent = printable(request.Traceparent); f.traceparent != "" {
		f.tracestate = printable(request.Tracestate)
	}
	return f
}

// printable returns the header's value, or nothing if a frame can't carry it.
func printable(value string) string {
	if len(value) > maxTraceBytes {
		return ""
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return ""
		}
	}
	return value
}

// size returns the number of bytes that append writes after the frame's length.
func (f *frame) size() int {
	n := 9 + sizeVarint(uint64(f.method)) + sizeVarint(uint64(f.budget)) + sizeVarint(f.bounds.Min)
	if f.bounds.HasAt {
		n += 1 + protowire.SizeVarint(f.bounds.At)
	}
	return n + sizeBytes(len(f.body)) + sizeBytes(len(f.traceparent)) + sizeBytes(len(f.tracestate))
}

func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func sizeBytes(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(n)
}

// append adds the frame to a message's requests. size is the result of f.size.
func (f *frame) append(b []byte, size int) []byte {
	b = protowire.AppendVarint(append(b, tagRequests), uint64(size))
	b = binary.LittleEndian.AppendUint64(append(b, tagID), f.id)
	b = appendVarint(b, tagMethod, uint64(f.method))
	b = appendVarint(b, tagBudget, uint64(f.budget))
	b = appendVarint(b, tagMin, f.bounds.Min)
	if f.bounds.HasAt {
		b = protowire.AppendVarint(append(b, tagAt), f.bounds.At)
	}
	b = appendBytes(b, tagBody, f.body)
	b = appendBytes(b, tagTraceparent, f.traceparent)
	return appendBytes(b, tagTracestate, f.tracestate)
}

func appendVarint(b []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(append(b, tag), v)
}

func appendBytes[T []byte | string](b []byte, tag byte, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return append(protowire.AppendVarint(append(b, tag), uint64(len(v))), v...)
}

// appendCancelled writes the cancellations of a message.
func appendCancelled(b []byte, ids []uint64) []byte {
	if len(ids) == 0 {
		return b
	}
	b = protowire.AppendVarint(append(b, tagCancelled), uint64(8*len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return b
}

// reply is a reply as it was parsed. Its slices are parts of the message.
type reply struct {
	id         uint64
	position   uint64
	positioned bool
	status     uint32
	message    []byte
	details    []byte
	body       []byte
	tooLong    bool
	// more is true if this is only a piece of the body.
	more bool
	// notUTF8 is true if any status_message was not UTF-8, even one that a later one replaced.
	notUTF8 bool
	// to gets the reply. It is set between the time that the slot is freed and the handover.
	to Receiver
}

// parseReplies reads an ExchangeResponse and appends its replies to into. With an error it returns none, because a
// message that breaks the rules says nothing of value.
func parseReplies(message []byte, into []reply) ([]reply, error) {
	if len(message) > maxMessageBytes {
		return nil, broken(Limit, "a message of %d bytes, at most %d", len(message), maxMessageBytes)
	}
	for len(message) > 0 {
		number, kind, n := consumeTag(message)
		if n < 0 {
			return nil, broken(Garbage, "ExchangeResponse: %v", protowire.ParseError(n))
		}
		message = message[n:]
		if number != 1 || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return nil, broken(Garbage, "ExchangeResponse: %v", protowire.ParseError(n))
			}
			message = message[n:]
			continue
		}
		encoded, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return nil, broken(Garbage, "ExchangeResponse.replies: %v", protowire.ParseError(n))
		}
		message = message[n:]
		if len(into) == maxInFlight {
			return nil, broken(Limit, "more than %d replies in a message", maxInFlight)
		}
		into = append(into, reply{})
		if err := into[len(into)-1].parse(encoded); err != nil {
			return nil, err
		}
	}
	return into, nil
}

// outOfRange is protowire's code for an impossible field number.
const outOfRange = -2

// consumeTag also refuses numbers that protobuf does not allow.
func consumeTag(b []byte) (protowire.Number, protowire.Type, int) {
	number, kind, n := protowire.ConsumeTag(b)
	if number > protowire.MaxValidNumber {
		n = outOfRange
	}
	return number, kind, n
}

func (r *reply) parse(b []byte) error {
	for len(b) > 0 {
		number, kind, n := consumeTag(b)
		if n >= 0 {
			b = b[n:]
			n = r.field(number, kind, b)
		}
		if n < 0 {
			return broken(Garbage, "ReplyFrame: %v", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return r.check()
}

// field reads one field and returns its length. A field with another wire type than it should have is an unknown field.
func (r *reply) field(number protowire.Number, kind protowire.Type, b []byte) int {
	var v uint64
	var n int
	switch {
	case number == 1 && kind == protowire.Fixed64Type:
		r.id, n = protowire.ConsumeFixed64(b)
	case number == 2 && kind == protowire.VarintType:
		r.position, n = protowire.ConsumeVarint(b)
		r.positioned = true
	case number == 3 && kind == protowire.VarintType:
		v, n = protowire.ConsumeVarint(b)
		r.status = uint32(v)
	case number == 4 && kind == protowire.BytesType:
		r.message, n = protowire.ConsumeBytes(b)
		r.notUTF8 = r.notUTF8 || !utf8.Valid(r.message)
	case number == 5 && kind == protowire.BytesType:
		r.details, n = protowire.ConsumeBytes(b)
	case number == 6 && kind == protowire.BytesType:
		r.body, n = protowire.ConsumeBytes(b)
	case number == 7 && kind == protowire.VarintType:
		v, n = protowire.ConsumeVarint(b)
		r.tooLong = v != 0
	case number == 8 && kind == protowire.VarintType:
		v, n = protowire.ConsumeVarint(b)
		r.more = v != 0
	default:
		n = protowire.ConsumeFieldValue(number, kind, b)
	}
	return n
}

// check applies the rules of exchange.proto to each field of a reply.
func (r *reply) check() error {
	switch {
	case len(r.message) > maxStatusBytes:
		return broken(Limit, "ReplyFrame.status_message of %d bytes, at most %d", len(r.message), maxStatusBytes)
	case len(r.details) > maxStatusBytes:
		return broken(Limit, "ReplyFrame.status_details of %d bytes, at most %d", len(r.details), maxStatusBytes)
	case len(r.body) > maxBodyBytes:
		return broken(Limit, "ReplyFrame.body of %d bytes, at most %d", len(r.body), maxBodyBytes)
	case r.tooLong && (r.positioned || len(r.body) > 0):
		return broken(Garbage, "ReplyFrame.too_long with a position or a body")
	case r.more && (r.positioned || r.tooLong || r.status != 0 || len(r.body) == 0):
		return broken(Garbage, "ReplyFrame.more with anything but a body")
	case r.notUTF8:
		return broken(Garbage, "ReplyFrame.status_message is not UTF-8")
	}
	return nil
}

// Reasons for which a lane is lost, for logs and metrics.
const (
	// Ended: the sidecar or the connection ended the stream.
	Ended = "ended"
	// Refused: the sidecar says that the shim broke a rule.
	Refused = "refused"
	// Garbage: the bytes are not a message of the exchange.
	Garbage = "garbage"
	// UnknownID: a reply to a request that is not in flight, or a second reply.
	UnknownID = "unknown_id"
	// Limit: a message or a field is longer than allowed.
	Limit = "limit"
	// Unanswered: a request still had no reply long after its time was over.
	Unanswered = "unanswered"
	// Panicked: the shim's own code panicked.
	Panicked = "panic"
)

// Reasons returns all of these reasons.
func Reasons() []string {
	return []string{Ended, Refused, Garbage, UnknownID, Limit, Unanswered, Panicked}
}

// failure is an error that ends a lane.
type failure struct {
	reason string
	err    error
}

func (f *failure) Error() string { return f.reason + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func broken(reason, format string, args ...any) error {
	return &failure{reason, fmt.Errorf(format, args...)}
}
