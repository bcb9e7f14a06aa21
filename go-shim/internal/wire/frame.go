package wire

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
)

// Sizes of HTTP/2 and of gRPC's framing.
const (
	headerLen = 9
	prefixLen = 5
	// maxFrame is the longest frame that we take, and that any peer takes.
	maxFrame = 16 << 10
	// firstWindow is every window's size before anybody has changed it.
	firstWindow = 65535
	maxWindow   = 1<<31 - 1
)

// frame is a frame's header.
type frame struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

func parseFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: http2.FrameType(b[3]), flags: http2.Flags(b[4]),
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow,
	}
}

func (f frame) append(b []byte) []byte {
	b = append(b, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), byte(f.flags))
	return binary.BigEndian.AppendUint32(b, f.stream)
}

func appendSettings(b []byte, settings ...http2.Setting) []byte {
	b = frame{length: 6 * len(settings), kind: http2.FrameSettings}.append(b)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(s.ID)), s.Val)
	}
	return b
}

func appendWord(b []byte, kind http2.FrameType, stream, word uint32) []byte {
	return binary.BigEndian.AppendUint32(frame{length: 4, kind: kind, stream: stream}.append(b), word)
}

func appendWindowUpdate(b []byte, stream, increment uint32) []byte {
	return appendWord(b, http2.FrameWindowUpdate, stream, increment)
}

func appendReset(b []byte, stream uint32, code http2.ErrCode) []byte {
	return appendWord(b, http2.FrameRSTStream, stream, uint32(code))
}

func appendPing(b []byte, flags http2.Flags, data [8]byte) []byte {
	return append(frame{length: 8, kind: http2.FramePing, flags: flags}.append(b), data[:]...)
}

func appendGoAway(b []byte, code http2.ErrCode) []byte {
	b = frame{length: 8, kind: http2.FrameGoAway}.append(b)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 0), uint32(code))
}

// violation is an error of the peer that ends the connection.
type violation struct {
	code http2.ErrCode
	what string
}

func (v *violation) Error() string { return fmt.Sprintf("HTTP/2: %s (%v)", v.what, v.code) }

func violated(code http2.ErrCode, format string, args ...any) error {
	return &violation{code, fmt.Sprintf(format, args...)}
}

// content returns the payload of HEADERS or DATA without padding and priority.
func content(f frame, payload []byte) ([]byte, error) {
	padding := 0
	if f.flags.Has(http2.FlagDataPadded) {
		if len(payload) == 0 {
			return nil, violated(http2.ErrCodeFrameSize, "%v without room for its padding", f.kind)
		}
		padding, payload = int(payload[0]), payload[1:]
	}
	if f.kind == http2.FrameHeaders && f.flags.Has(http2.FlagHeadersPriority) {
		if len(payload) < 5 {
			return nil, violated(http2.ErrCodeFrameSize, "%v without room for its priority", f.kind)
		}
		payload = payload[5:]
	}
	if padding > len(payload) {
		return nil, violated(http2.ErrCodeProtocol, "%v with %d bytes of padding in %d", f.kind, padding, len(payload))
	}
	return payload[:len(payload)-padding], nil
}
