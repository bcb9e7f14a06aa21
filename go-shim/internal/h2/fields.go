package h2

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
)

// Head is what one header block says.
type Head struct {
	*Fields
	// Timeout is that of grpc-timeout, by grpc-go's rules, if HasTimeout. A malformed grpc-timeout, and one of several, is
	// none: then Plain and Extra are false, and the block still has it.
	Timeout    time.Duration
	HasTimeout bool
	text       [maxTimeoutLen]byte // the timeout as the caller wrote it
	textLen    uint8
}

// Fields are the fields of a header block but grpc-timeout. They are immutable, and shared by the calls of a connection
// that differ in nothing else.
type Fields struct {
	// Method is the index of the hot method that :path names, or -1.
	Method int
	// Plain is true if grpc-go would begin a call without a word and the door knows every field: one each of :method POST,
	// :scheme http or https, :path, :authority, and content-type application/grpc or application/grpc+proto; at most one
	// each of te trailers, grpc-encoding identity, user-agent and a well-formed grpc-timeout; grpc-accept-encoding; the
	// keys below; and accept-encoding and content-length, which grpc-go heeds no more than the door does.
	Plain bool
	// Extra is true if the fields would be Plain but for metadata that the door doesn't know.
	Extra bool
	// Proto is true if the content type names +proto: grpc-go repeats that in its reply.
	Proto bool
	// TooLong is true if the list is longer than the limit given to Decode. What lies beyond is missing, but the first
	// such field is there, so whoever has the same limit sees that it is exceeded.
	TooLong bool
	// Values of the keys x-hotpath-min-position, x-hotpath-at-position, x-hotpath-position, and of trace context; nil if
	// there are none.
	MinPosition, AtPosition, Position, Traceparent, Tracestate []string
	// TraceBin are the values of grpc-trace-bin, without their base64.
	TraceBin []string
	// Kept is for whoever serves the calls: something of its own that is the same for all calls with these fields.
	Kept atomic.Value

	block     string // as appendTo writes them
	timeoutAt int    // where grpc-timeout stood in block, or -1
	list      int    // what they count in a header list
	metadata  atomic.Pointer[metadata.MD]
}

// AppendBlock appends the same fields as a block that needs no dynamic table. If HasTimeout, a timeout >= 0 takes the
// place of the caller's; one < 0 leaves it as the caller wrote it.
func (h Head) AppendBlock(b []byte, timeout time.Duration) []byte {
	if !h.HasTimeout {
		return append(b, h.block...)
	}
	b = append(b, h.block[:h.timeoutAt]...)
	b = appendString(append(b, 0), timeoutName)
	if timeout < 0 {
		b = appendString(b, h.text[:h.textLen])
	} else {
		b = append(b, 0)
		start := len(b)
		b = appendTimeout(b, timeout)
		b[start-1] = byte(len(b) - start)
	}
	return append(b, h.block[h.timeoutAt:]...)
}

// setTimeout takes a timeout from its text, if it is well-formed.
func (h *Head) setTimeout(text []byte) bool {
	d, ok := parseTimeout(text)
	if ok {
		h.Timeout, h.HasTimeout = d, true
		h.textLen = uint8(copy(h.text[:], text))
	}
	return ok
}
