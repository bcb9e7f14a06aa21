package splice

import (
	"encoding/binary"

	"hotpath.dev/go-shim/internal/h2"
)

// clientFrame takes one whole frame of the client.
func (c *Core) clientFrame(f h2.Frame, frame []byte) {
	payload := frame[h2.HeaderLen:]
	if c.blocks > 0 && (f.Type != h2.Continuation || f.Stream != c.blockHead.Stream) {
		c.misbehaved(frame)
		return
	}
	switch f.Type {
	case h2.Data:
		c.clientData(f, frame)
	case h2.Headers:
		block, err := h2.Payload(f, payload)
		switch {
		case f.Stream == 0 || err != nil && err != h2.ErrPadding:
			c.misbehaved(frame)
		case err != nil:
			c.badPadding(f, frame)
		case f.Flags.Has(h2.FlagEndHeaders):
			c.open(f, block)
		default:
			c.blockHead = f
			c.moreBlock(block)
		}
	case h2.Continuation:
		if c.blocks == 0 {
			c.misbehaved(frame)
			return
		}
		c.moreBlock(payload)
		if f.Flags.Has(h2.FlagEndHeaders) && !c.deaf {
			c.endBlock()
		}
	case h2.RSTStream:
		c.clientReset(f, frame)
	case h2.Settings:
		c.clientSettings(f, frame)
	case h2.Ping:
		c.clientPing(f, frame)
	case h2.WindowUpdate:
		c.clientWindowUpdate(f, frame)
	default:
		c.passToServer(frame) // grpc-go ignores it, or ends the connection
	}
}

// badPadding takes HEADERS whose padding is too long. That resets the stream, whichever it is, and the block is not decoded.
func (c *Core) badPadding(f h2.Frame, frame []byte) {
	if !f.Flags.Has(h2.FlagEndHeaders) {
		c.blockHead, c.blocks, c.skipping = f, 1, true
	}
	switch s := c.streams.get(f.Stream); {
	case s == nil:
		c.refuse(f.Stream, h2.ProtocolError)
	case s.phase != cold:
		c.abort(s, h2.ProtocolError)
	default:
		f.Stream, f.Flags = s.inner, f.Flags|h2.FlagEndHeaders
		out := c.server()
		out.b = append(f.Append(out.b), frame[h2.HeaderLen:]...)
	}
}

func (c *Core) illegal(id uint32) bool { return id%2 == 0 || id <= c.maxID }

// moreBlock keeps a part of a header block until the others are there.
func (c *Core) moreBlock(part []byte) {
	c.blocks++
	// grpc-go, too, reads no more of a block than twice the list that it allows.
	most := min(c.limits.HeaderBlock, max(maxFrame, 2*int(c.headerList)))
	if len(c.block)+len(part) > most || c.blocks > c.limits.Continuations+1 {
		c.calm(brokeHeaders)
		return
	}
	if !c.skipping {
		c.block = append(c.block, part...)
	}
}

func (c *Core) endBlock() {
	block := c.block
	skipped := c.skipping
	c.block, c.blocks, c.skipping = nil, 0, false
	if !skipped {
		c.open(c.blockHead, block)
	}
}

// open begins a stream.
func (c *Core) open(f h2.Frame, block []byte) {
	head, err := c.decoder.Decode(block, int(c.headerList))
	end := f.Flags.Has(h2.FlagEndStream)
	switch {
	case err != nil:
		out := c.server()
		out.b = h2.Frame{Length: 1, Type: h2.Headers, Flags: h2.FlagEndHeaders, Stream: c.lastInner + 2 | 1}.Append(out.b)
		out.b = append(out.b, 0x80) // the index 0, which no table has
		c.deaf = true
		c.rule(brokeProtocol)
		return
	case c.illegal(f.Stream):
		// Trailers of a request are such, too: grpc-go takes none, and ends the connection. It first looks at the fields,
		// though, and resets the stream if those are invalid.
		c.passHead(noStream, head, end, -1)
		c.illegals = append(c.illegals, f.Stream)
		return
	}
	c.maxID = f.Stream
	if uint32(c.streams.n) >= c.maxStreams {
		c.refuse(f.Stream, h2.RefusedStream)
		return
	}
	s := c.newStream(f.Stream)
	s.clientDone = end
	if end || !c.mayBeHot(head) {
		if head.Method >= 0 {
			c.counted.handOver(c.whyCold(&head, end))
		}
		c.pass(s, head, end, -1)
		return
	}
	s.phase, s.quota = collecting, c.serverInitial
	s.call.Head, s.call.Arrived = head, c.now
	c.hot++
	c.collecting++
}

func (c *Core) mayBeHot(head h2.Head) bool {
	return head.Method >= 0 && (head.Plain || head.Extra && c.extra) && !head.TooLong && (!head.HasTimeout || head.Timeout > 0) &&
		c.settled && !c.draining && !c.overloaded && c.heldBytes < c.limits.Unread
}

// clientData takes DATA. What belongs to no stream is credited and dropped, as grpc-go does.
func (c *Core) clientData(f h2.Frame, frame []byte) {
	payload, err := h2.Payload(f, frame[h2.HeaderLen:])
	if f.Stream == 0 || err != nil {
		c.misbehaved(frame)
		return
	}
	end := f.Flags.Has(h2.FlagEndStream)
	s := c.streams.get(f.Stream)
	switch {
	case s == nil:
		c.credit(f.Length)
	case s.phase == cold:
		s.clientDone = s.clientDone || end
		f.Stream = s.inner
		out := c.server()
		out.b = append(f.Append(out.b), frame[h2.HeaderLen:]...)
		if s.serverDone && s.clientDone {
			c.forget(s)
		}
	case s.phase == sending:
		c.credit(f.Length)
	case s.clientDone:
		c.credit(f.Length)
		c.abort(s, h2.StreamClosed)
	default:
		c.collect(s, f.Length, payload, end)
	}
}

// collect adds to a hot request.
func (c *Core) collect(s *stream, length int, payload []byte, end bool) {
	c.credit(length)
	if s.quota -= int64(length); s.quota < 0 {
		c.abort(s, h2.FlowControlError)
		return
	}
	s.padding += uint32(length - len(payload))
	s.clientDone = end
	s.body = append(s.body, payload...)
	c.bodies += len(payload)
	if len(s.body) < prefixLen {
		switch {
		case end:
			c.handOverFor(ForIncomplete, s)
		case s.padding > maxFrame:
			c.handOverFor(ForUnusual, s)
		}
		return
	}
	whole, have := prefixLen+int64(binary.BigEndian.Uint32(s.body[1:])), int64(len(s.body))
	switch limit := min(int64(c.limits.Message), c.serverInitial); {
	case s.body[0] != 0 || have > whole || !end && s.padding > maxFrame: // compressed, or more than one message
		c.handOverFor(ForUnusual, s)
	case whole > limit || !end && c.bodies > c.limits.Bodies:
		c.handOverFor(ForSize, s)
	case end && have < whole:
		c.handOverFor(ForIncomplete, s)
	case end:
		c.bodies -= len(s.body)
		c.collecting--
		s.phase = asked
		s.call.Body = s.body[prefixLen:]
		c.calls = append(c.calls, &s.call)
	}
}

func (c *Core) clientReset(f h2.Frame, frame []byte) {
	if f.Stream == 0 || f.Length != 4 {
		c.misbehaved(frame)
		return
	}
	c.resets++
	s := c.streams.get(f.Stream)
	if s == nil {
		return
	}
	c.resetInner(s, h2.ErrCode(binary.BigEndian.Uint32(frame[h2.HeaderLen:])))
	c.forget(s)
}

// resetInner tells grpc-go that a stream is over, if it knows it.
func (c *Core) resetInner(s *stream, code h2.ErrCode) {
	if s.inner != 0 {
		out := c.server()
		out.b = h2.AppendRST(out.b, s.inner, code)
	}
}

func (c *Core) clientPing(f h2.Frame, frame []byte) {
	if f.Stream != 0 || f.Length != 8 {
		c.misbehaved(frame)
		return
	}
	data := [8]byte(frame[h2.HeaderLen:])
	switch {
	case f.Flags.Has(h2.FlagAck) && data == drainPing() && c.draining && c.hot > 0:
		c.heldAck = true
	case !f.Flags.Has(h2.FlagAck) && c.replied:
		c.replied = false
		out := c.client()
		out.b = h2.AppendPing(out.b, true, data)
	default:
		c.passToServer(frame)
	}
}
