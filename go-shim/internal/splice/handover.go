package splice

import (
	"time"

	"hotpath.dev/go-shim/internal/h2"
)

// nextInner gives a stream the next id towards grpc-go, which takes ascending ids only.
func (c *Core) nextInner(s *stream) {
	if c.lastInner == 0 {
		c.lastInner = 1
	} else {
		c.lastInner += 2
	}
	s.inner = c.lastInner
	c.inner.put(s.inner, s)
}

// pass makes a stream known to grpc-go. more are names and values of further fields.
func (c *Core) pass(s *stream, head h2.Head, end bool, timeout time.Duration, more ...string) {
	c.nextInner(s)
	c.passHead(s.inner, head, end, timeout, more...)
}

func (c *Core) passHead(id uint32, head h2.Head, end bool, timeout time.Duration, more ...string) {
	out := c.server()
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	out.b = head.AppendBlock(out.b, timeout)
	for i := 0; i+1 < len(more); i += 2 {
		out.b = h2.AppendField(out.b, more[i], more[i+1])
	}
	out.b = frameBlock(out.b, begin, id, end)
}

// frameBlock makes frames of the block that begins in b after the room for a frame's header at begin.
func frameBlock(b []byte, begin int, id uint32, end bool) []byte {
	block := b[begin+h2.HeaderLen:]
	f := h2.Frame{Length: len(block), Type: h2.Headers, Flags: h2.FlagEndHeaders, Stream: id}
	if end {
		f.Flags |= h2.FlagEndStream
	}
	if len(block) <= maxFrame {
		f.Append(b[begin:begin])
		return b
	}
	// Each frame after the first needs room for its header, so the pieces move up, the last one first. A copy of the block
	// would be garbage of its length, of which a client can cause much with few bytes.
	frames := (len(block) + maxFrame - 1) / maxFrame
	b = append(b, make([]byte, (frames-1)*h2.HeaderLen)...)
	for i := frames - 1; i >= 0; i-- {
		from := begin + h2.HeaderLen + i*maxFrame
		at := from + i*h2.HeaderLen // of the payload
		piece := h2.Frame{Length: min(maxFrame, len(block)-i*maxFrame), Type: h2.Continuation, Stream: id}
		if i == 0 {
			piece.Type, piece.Flags = f.Type, f.Flags&^h2.FlagEndHeaders
		} else if i == frames-1 {
			piece.Flags = h2.FlagEndHeaders
		}
		copy(b[at:at+piece.Length], b[from:from+piece.Length])
		piece.Append(b[at-h2.HeaderLen : at-h2.HeaderLen])
	}
	return b
}

// handOver gives a hot call to grpc-go, with the bytes of it that have come. They fit grpc-go's window for the stream:
// the client may not have sent more than that. A timeout below 0 leaves the caller's.
func (c *Core) handOver(s *stream, timeout time.Duration, more ...string) {
	s.ended = true
	if c.drained {
		// grpc-go ignores new streams. Nothing was done for this one, so the client may try again elsewhere.
		c.abort(s, h2.RefusedStream)
		return
	}
	c.pass(s, s.call.Head, false, timeout, more...)
	out := c.server()
	for rest := s.body; ; {
		n := min(len(rest), maxFrame)
		f := h2.Frame{Length: n, Type: h2.Data, Stream: s.inner}
		if s.clientDone && n == len(rest) {
			f.Flags = h2.FlagEndStream
		}
		if n > 0 || f.Flags != 0 {
			out.b = append(f.Append(out.b), rest[:n]...)
		}
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	// The client has been credited for these bytes, and grpc-go will credit them again.
	c.owed += int64(len(s.body))
	if s.padding > 0 {
		// grpc-go never sees the padding, so it can't credit that on the stream.
		back := c.client()
		back.b = h2.AppendWindowUpdate(back.b, s.id, s.padding)
	}
	c.leave(s)
	s.body = s.body[:0]
	s.call.Body = nil
}
