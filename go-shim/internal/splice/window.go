package splice

import (
	"encoding/binary"

	"hotpath.dev/go-shim/internal/h2"
)

// windows are those of the connection. Of what the client takes:
//
//	window + debt - heldCold == what grpc-go believes to have
//
// because hot replies spend the window behind grpc-go's back (debt), and DATA that grpc-go sent may wait here (heldCold is
// the part of heldBytes that is grpc-go's). The client's WINDOW_UPDATEs repay the debt before grpc-go hears of them.
//
// Of what the client may send: hot requests are credited by the door, all others by grpc-go, but for those bytes that were
// hot before they were handed over (owed).
type windows struct {
	window, debt int64
	uncredited   int
	owed         int64

	// first and last are the queue of streams whose held DATA waits for the connection's window only.
	first, last *stream
	heldBytes   int
	// hotHeld is the part of heldBytes that is not grpc-go's, and hotLeft the sum of what has left of it.
	hotHeld int
	hotLeft int64
}

// credit lets the client send as many bytes more.
func (c *Core) credit(n int) {
	if c.uncredited += n; c.uncredited >= creditBatch {
		out := c.client()
		out.b = h2.AppendWindowUpdate(out.b, 0, uint32(c.uncredited))
		c.uncredited = 0
	}
}

// refund gives back to grpc-go what it spent on DATA that the client never gets.
func (c *Core) refund(n int) {
	repaid := min(c.debt, int64(n))
	c.debt -= repaid
	if rest := int64(n) - repaid; rest > 0 {
		out := c.server()
		out.b = h2.AppendWindowUpdate(out.b, 0, uint32(rest))
	}
}

func (c *Core) clientWindowUpdate(f h2.Frame, frame []byte) {
	if f.Length != 4 {
		c.misbehaved(frame)
		return
	}
	increment := binary.BigEndian.Uint32(frame[h2.HeaderLen:]) & (1<<31 - 1)
	if f.Stream == 0 {
		if increment == 0 {
			c.misbehaved(frame)
			return
		}
		c.window += int64(increment)
		repaid := min(c.debt, int64(increment))
		c.debt -= repaid
		if rest := increment - uint32(repaid); rest > 0 {
			out := c.server()
			out.b = h2.AppendWindowUpdate(out.b, 0, rest)
		}
		c.release()
		return
	}
	s := c.streams.get(f.Stream)
	switch {
	case s == nil:
		if increment == 0 {
			c.refuse(f.Stream, h2.ProtocolError)
		}
	case increment == 0:
		// grpc-go would say so itself, but by then it may have ended the stream, and then the door has forgotten it.
		c.resetInner(s, h2.ProtocolError)
		c.abort(s, h2.ProtocolError)
	default:
		s.window += int64(increment)
		if s.phase == cold {
			f.Stream = s.inner
			out := c.server()
			out.b = append(f.Append(out.b), frame[h2.HeaderLen:]...)
		}
		c.enqueue(s)
		c.release()
	}
}

// send sends DATA of a stream as far as the windows allow, and holds the rest.
func (c *Core) send(s *stream, payload ...[]byte) {
	length := 0
	for _, p := range payload {
		length += len(p)
	}
	if s.held == nil && c.first == nil && length <= maxFrame && int64(length) <= min(c.window, s.window) {
		out := c.client()
		out.b = h2.Frame{Length: length, Type: h2.Data, Stream: s.id}.Append(out.b)
		for _, p := range payload {
			out.b = append(out.b, p...)
		}
		c.spend(s, length)
		return
	}
	if s.held == nil {
		s.held = c.pools.buffer()
	}
	for _, p := range payload {
		s.held.b = append(s.held.b, p...)
	}
	c.heldBytes += length
	if s.phase != cold {
		c.hotHeld += length
	}
	c.enqueue(s)
	c.release()
}

func (c *Core) spend(s *stream, n int) {
	c.window -= int64(n)
	s.window -= int64(n)
	if s.phase != cold {
		c.debt += int64(n)
	}
}

// enqueue makes a stream wait for the connection's window, if nothing else keeps it.
func (c *Core) enqueue(s *stream) {
	if s.queued || s.held == nil || s.window <= 0 {
		return
	}
	s.queued = true
	if c.last == nil {
		c.first = s
	} else {
		c.last.next = s
	}
	c.last = s
}

func (c *Core) dequeue() *stream {
	s := c.first
	c.first = s.next
	if c.first == nil {
		c.last = nil
	}
	s.next, s.queued = nil, false
	return s
}

// release sends held DATA, a frame of each stream by turns.
func (c *Core) release() {
	for c.first != nil {
		if c.first.held == nil {
			if s := c.dequeue(); s.ended {
				c.recycle(s) // it was forgotten while it waited
			}
			continue
		}
		if c.window <= 0 {
			return
		}
		s := c.dequeue()
		n := int(min(int64(min(maxFrame, s.held.left())), c.window, s.window))
		if n <= 0 {
			continue // SETTINGS made its window smaller: the client's next update will bring it back
		}
		f := h2.Frame{Length: n, Type: h2.Data, Stream: s.id}
		done := n == s.held.left()
		if done && s.end == endData {
			f.Flags = h2.FlagEndStream
		}
		out := c.client()
		out.b = append(f.Append(out.b), s.held.b[s.held.off:s.held.off+n]...)
		s.held.off += n
		c.heldBytes -= n
		if s.phase != cold {
			c.hotHeld, c.hotLeft = c.hotHeld-n, c.hotLeft+int64(n)
		}
		c.replied = true // of this DATA grpc-go does not know that it leaves now
		c.spend(s, n)
		if !done {
			c.enqueue(s)
			continue
		}
		c.pools.putBuffer(s.held)
		s.held = nil
		c.finish(s)
	}
}

// unhold drops what is held of a stream.
func (c *Core) unhold(s *stream) {
	if s.held == nil {
		return
	}
	left := s.held.left()
	c.heldBytes -= left
	c.pools.putBuffer(s.held)
	s.held = nil
	if s.phase == cold {
		c.refund(left)
	} else {
		c.hotHeld -= left
	}
}

// finish writes what comes after a stream's last DATA, if that is known yet.
func (c *Core) finish(s *stream) {
	if s.end == endNone {
		return
	}
	if s.end != endData {
		out := c.client()
		begin := len(out.b)
		out.b = append(out.b, make([]byte, h2.HeaderLen)...)
		if s.end == endOK {
			out.b = c.encoder.ok(out.b)
		} else {
			out.b = append(c.encoder.begin(out.b), s.block...)
			s.block = nil
		}
		out.b = frameBlock(out.b, begin, s.id, true)
	}
	s.serverDone = true
	if s.reset {
		c.refuse(s.id, h2.NoError)
		c.resets-- // grpc-go's own way to end a stream early
	}
	if s.reset || s.clientDone {
		c.forget(s)
	}
}
