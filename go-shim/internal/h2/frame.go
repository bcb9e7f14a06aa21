// Package h2 holds the parts of HTTP/2 that the front door and the lanes read and write themselves: frames (RFC 9113) and
// a decoder of request header blocks (RFC 7541) that says at once what a block means to gRPC.
//
// Nothing here does I/O or takes a lock. grpc-go and golang.org/x/net/http2 are the measure: what this package calls
// plain is what they would take without a word, and what they would refuse is handed to them as it came.
package h2

import (
	"encoding/binary"
	"fmt"
)

// Preface is what a client sends first.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HeaderLen is the length of a frame's header.
const HeaderLen = 9

// Type is the type of a frame.
type Type uint8

// Types of frames. Others are to be ignored (RFC 9113, section 5.5).
const (
	Data Type = iota
	Headers
	Priority
	RSTStream
	Settings
	PushPromise
	Ping
	GoAway
	WindowUpdate
	Continuation
)

func (t Type) String() string {
	names := [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
		"WINDOW_UPDATE", "CONTINUATION"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("frame type %d", uint8(t))
}

// Flags are the flags of a frame; what a bit means depends on the frame's type.
type Flags uint8

// Flags. FlagAck is of SETTINGS and PING, FlagEndStream and FlagPadded of HEADERS and DATA, FlagEndHeaders of HEADERS and
// CONTINUATION, FlagPriority of HEADERS.
const (
	FlagAck        Flags = 0x1
	FlagEndStream  Flags = 0x1
	FlagEndHeaders Flags = 0x4
	FlagPadded     Flags = 0x8
	FlagPriority   Flags = 0x20
)

// Has is true if all of some are set.
func (f Flags) Has(some Flags) bool { return f&some == some }

// Frame is the header of a frame.
type Frame struct {
	Length int
	Type   Type
	Flags  Flags
	Stream uint32
}

// ParseFrame reads the header of a frame from the first HeaderLen bytes of b, which must be there.
func ParseFrame(b []byte) Frame {
	_ = b[HeaderLen-1]
	return Frame{
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		Type:   Type(b[3]),
		Flags:  Flags(b[4]),
		Stream: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1), // a reader ignores the reserved bit
	}
}

// Append appends the header; Length bytes must follow.
func (f Frame) Append(b []byte) []byte {
	n := uint32(f.Length)
	return append(b, byte(n>>16), byte(n>>8), byte(n), byte(f.Type), byte(f.Flags),
		byte(f.Stream>>24), byte(f.Stream>>16), byte(f.Stream>>8), byte(f.Stream))
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame; stream 0 is the connection. increment must not be 0.
func AppendWindowUpdate(b []byte, stream, increment uint32) []byte {
	b = Frame{Length: 4, Type: WindowUpdate, Stream: stream}.Append(b)
	return binary.BigEndian.AppendUint32(b, increment)
}

// AppendRST appends a RST_STREAM frame.
func AppendRST(b []byte, stream uint32, code ErrCode) []byte {
	b = Frame{Length: 4, Type: RSTStream, Stream: stream}.Append(b)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// AppendPing appends a PING frame, or the answer to one.
func AppendPing(b []byte, ack bool, data [8]byte) []byte {
	f := Frame{Length: len(data), Type: Ping}
	if ack {
		f.Flags = FlagAck
	}
	return append(f.Append(b), data[:]...)
}

// AppendGoAway appends a GOAWAY frame. last is the highest stream that was taken or may have been.
func AppendGoAway(b []byte, last uint32, code ErrCode, debug []byte) []byte {
	b = Frame{Length: 8 + len(debug), Type: GoAway}.Append(b)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, debug...)
}
