package h2

import (
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
}

// Fields are the fields of a header block but grpc-timeout. They are immutable, and shared by the calls of a connection
// that differ in nothing else.
type Fields struct {
	// Method is the index of the hot method that :path names, or -1.
	Method int
	// Plain is true if grpc-go would begin a call without a word and the door knows every field: POST, http or https, a
	// content type of gRPC with protobuf, no compression, nothing twice that may come once.
	Plain bool
	// Extra is true if the fields would be Plain but for metadata that the door doesn't know.
	Extra bool
	// Proto is true if the content type names +proto: grpc-go repeats that in its reply.
	Proto bool
	// TooLong is true if the list is longer than the limit given to Decode: what lies beyond is missing, but the first
	// such field is there, so whoever has the same limit sees that it is exceeded.
	TooLong bool
	// Values of the keys x-hotpath-min-position, x-hotpath-at-position, x-hotpath-position, and of trace context; nil if
	// there are none.
	MinPosition, AtPosition, Position, Traceparent, Tracestate []string
	// TraceBin are the values of grpc-trace-bin, without their base64.
	TraceBin []string
}

// AppendBlock appends the same fields as a block that needs no dynamic table. If the block has a grpc-timeout, a timeout
// >= 0 takes its place; one < 0 leaves it as the caller wrote it.
func (h Head) AppendBlock(b []byte, timeout time.Duration) []byte { return b }

// Metadata is what grpc-go would give to a handler as incoming metadata. It must not be changed. May be called from any
// goroutine.
func (f *Fields) Metadata() metadata.MD { return nil }

// AppendField appends a field to a header block that needs no dynamic table.
func AppendField(b []byte, name, value string) []byte { return b }

// WithoutSizeUpdates is block without the changes of the dynamic table's size with which it may begin.
func WithoutSizeUpdates(block []byte) []byte { return block }
