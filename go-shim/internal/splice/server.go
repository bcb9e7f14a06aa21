package splice

import (
	"encoding/binary"

	"hotpath.dev/go-shim/internal/h2"
)

// serverFrame takes one whole frame of grpc-go.
func (c *Core) serverFrame(f h2.Frame, frame []byte) {
	payload := frame[h2.HeaderLen:]
	switch f.Type {
	case h2.Data:
		c.serverData(f, payload)
	case h2.Headers:
		if f.Flags.Has(h2.FlagEndHeaders) {
			c.serverHeaders(f, payload)
			return
		}
		c.serverHead = f
		c.serverBlock = append(c.serverBlock, payload...)
	case h2.Continuation:
		c.serverBlock = append(c.serverBlock, payload...)
		if f.Flags.Has(h2.FlagEndHeaders) {
			block := c.serverBlock
			c.serverBlock = nil
			c.serverHeaders(c.serverHead, block)
		}
	case h2.RSTStream:
		c.serverReset(f, h2.ErrCode(binary.BigEndian.Uint32(payload)))
	case h2.Settings:
		c.serverSettings(f, frame)
	case h2.GoAway:
		c.goAway(frame)
	case h2.WindowUpdate:
		c.serverWindowUpdate(f, binary.BigEndian.Uint32(payload))
	default:
		out := c.client()
		out.b = append(out.b, frame...)
	}
}

func (c *Core) serverData(f h2.Frame, payload []byte) {
	s := c.inner.get(f.Stream)
	if s == nil {
		c.refund(len(payload)) // the client has reset the stream
		return
	}
	if f.Flags.Has(h2.FlagEndStream) {
		s.end = endData
	}
	if len(payload) == 0 && s.held == nil {
		out := c.client()
		out.b = h2.Frame{Type: h2.Data, Flags: f.Flags, Stream: s.id}.Append(out.b)
		c.finish(s)
		return
	}
	if s.end == endData && s.held == nil {
		// The flag must be on the last piece: release puts it there.
		s.held = c.pools.buffer()
	}
	c.send(s, payload)
}

// serverHeaders takes a block, which uses no dynamic table.
func (c *Core) serverHeaders(f h2.Frame, block []byte) {
	s := c.inner.get(f.Stream)
	if s == nil {
		return
	}
	block = h2.WithoutSizeUpdates(block)
	if f.Flags.Has(h2.FlagEndStream) {
		s.end = endBlock
		if s.held != nil {
			s.block = append(s.block[:0], block...)
			return
		}
		s.block = block
		c.finish(s)
		return
	}
	out := c.client()
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	out.b = append(c.encoder.begin(out.b), block...)
	out.b = frameBlock(out.b, begin, s.id, false)
}

func (c *Core) serverReset(f h2.Frame, code h2.ErrCode) {
	if f.Stream == noStream {
		c.resetIllegal(code)
		return
	}
	s := c.inner.get(f.Stream)
	if s == nil {
		return
	}
	if s.held != nil && s.end != endNone && code == h2.NoError {
		s.reset = true // after the trailers, which wait
		return
	}
	out := c.client()
	out.b = h2.AppendRST(out.b, s.id, code)
	c.forget(s)
}

// resetIllegal resets the stream of the first HEADERS that grpc-go got as those of noStream.
func (c *Core) resetIllegal(code h2.ErrCode) {
	if len(c.illegals) == 0 {
		return
	}
	id := c.illegals[0]
	c.illegals = c.illegals[:copy(c.illegals, c.illegals[1:])]
	c.refuse(id, code)
	if s := c.streams.get(id); s != nil {
		if s.inner != 0 {
			out := c.server()
			out.b = h2.AppendRST(out.b, s.inner, code)
		}
		c.forget(s)
	}
}

// serverWindowUpdate passes what grpc-go credits, but for bytes that the door has credited.
func (c *Core) serverWindowUpdate(f h2.Frame, increment uint32) {
	if f.Stream == 0 {
		known := uint32(min(c.owed, int64(increment)))
		c.owed -= int64(known)
		if increment -= known; increment == 0 {
			return
		}
	} else {
		s := c.inner.get(f.Stream)
		if s == nil {
			return
		}
		f.Stream = s.id
	}
	out := c.client()
	out.b = h2.AppendWindowUpdate(out.b, f.Stream, increment)
}
