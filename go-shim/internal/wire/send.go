package wire

import (
	"encoding/binary"

	"hotpath.dev/go-shim/internal/h2"
)

// turns is how often in a row one caller of Flush writes. Others may have something to send all the time.
const turns = 2

// fullWrite is the length from which a write is long enough.
const fullWrite = 256 << 10

// Flush sends what is there to send, unless somebody sends already, who will then see to it. It never waits for the
// peer.
func (c *Conn) Flush() {
	c.mu.Lock()
	if c.writing {
		c.wanted = true
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.pump(false)
}

// mustSend says whether the peer made it necessary to send something.
func (c *Conn) mustSend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.control) > 0 || c.stuck
}

// pump writes until there is nothing to send. A pump that must not wait leaves the rest to one that may. The caller
// has set writing and holds c.mu, which pump releases.
func (c *Conn) pump(mayWait bool) {
	for turn := 1; ; turn++ {
		c.wanted = false
		out := c.fill(c.out[:0])
		c.out = out
		if cap(out) > keptBytes {
			c.out = nil
		}
		if len(out) == 0 || c.err != nil {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		rest, err := c.write(out, mayWait)
		if err != nil {
			c.fail(err)
		}
		c.mu.Lock()
		if c.err == nil && (len(rest) > 0 || !mayWait && turn == turns && c.wanted) {
			c.running.Add(1)
			c.mu.Unlock()
			go c.drain(rest)
			return
		}
		if !c.wanted && len(c.control) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
	}
}

// drain goes on where a pump that must not wait has left off.
func (c *Conn) drain(rest []byte) {
	defer c.running.Done()
	if len(rest) > 0 {
		if _, err := c.conn.Write(rest); err != nil {
			c.fail(err)
		}
	}
	c.mu.Lock()
	c.pump(true)
}

func (c *Conn) write(out []byte, mayWait bool) (rest []byte, err error) {
	var n int
	switch {
	case mayWait:
		n, err = c.conn.Write(out)
	case c.try != nil:
		n, err = c.try.TryWrite(out)
	}
	return out[n:], err
}

// fill appends what may be sent now. The caller holds c.mu.
func (c *Conn) fill(out []byte) []byte {
	out = append(out, c.control...)
	c.control = c.control[:0]
	c.stuck = false
	for _, s := range c.streams {
		for s.load() {
			if len(out) >= fullWrite {
				c.wanted = true
				return out
			}
			var sent bool
			if out, sent = s.appendData(out); !sent {
				c.stuck = true
				break
			}
		}
	}
	return out
}

// load fetches the stream's next message, unless it still has one. It is false if there is none.
func (s *Stream) load() bool {
	if s.loaded {
		return true
	}
	if s.cause != nil || s.finished {
		return false
	}
	message, last, err := s.call.Handler.Next()
	if err != nil {
		s.cancel(err)
	}
	if message == nil || err != nil {
		return false
	}
	s.loaded, s.finished, s.prefixed, s.message = true, last, false, message
	return true
}

// appendData appends one DATA frame. It is false if a window leaves no room.
func (s *Stream) appendData(out []byte) ([]byte, bool) {
	prefix := prefixLen
	if s.prefixed {
		prefix = 0
	}
	room := min(s.window, s.conn.window, int64(s.conn.peerFrame))
	n := min(int64(prefix+len(s.message)), room)
	// A prefix that doesn't fit waits.
	if n < int64(prefix) || n <= 0 {
		return out, false
	}
	body := s.message[:int(n)-prefix]
	f := h2.Frame{Length: int(n), Type: h2.Data, Stream: s.id}
	if s.finished && len(body) == len(s.message) {
		f.Flags = h2.FlagEndStream
	}
	out = f.Append(out)
	if !s.prefixed {
		out = binary.BigEndian.AppendUint32(append(out, 0), uint32(len(s.message)))
		s.prefixed = true
	}
	out = append(out, body...)
	s.message = s.message[len(body):]
	s.window -= n
	s.conn.window -= n
	if len(s.message) == 0 {
		s.loaded = false
	}
	return out, true
}
