package h2

import "fmt"

// ErrCode says in RST_STREAM and GOAWAY why.
type ErrCode uint32

// Error codes (RFC 9113, section 7).
const (
	NoError ErrCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

func (c ErrCode) String() string {
	names := [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
		"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR",
		"ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("error code %d", uint32(c))
}

// Error is a peer's breach that ends the connection: GOAWAY with Code.
type Error struct {
	Code ErrCode
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("HTTP/2: %s (%v)", e.Text, e.Code) }

// Errors of frames.
var (
	ErrPadding        error = &Error{ProtocolError, "padding is longer than the frame"}
	ErrPriority       error = &Error{FrameSizeError, "frame is too short for its padding and priority"}
	ErrSettingsLength error = &Error{FrameSizeError, "length of SETTINGS is not a multiple of 6"}
	ErrInitialWindow  error = &Error{FlowControlError, "initial window is over 2^31-1"}
)

// Errors of header blocks.
var (
	ErrTruncated     error = &Error{CompressionError, "header block ends within a field, or has an overlong integer"}
	ErrIndex         error = &Error{CompressionError, "header block has an index of nothing"}
	ErrTableSize     error = &Error{CompressionError, "header table is larger than allowed"}
	ErrLateTableSize error = &Error{CompressionError, "header table's size is changed within a block"}
	ErrStringLength  error = &Error{CompressionError, "header has a string over the limit"}
	ErrHuffman       error = &Error{CompressionError, "header has a string that is no Huffman code, or over the limit"}
)
