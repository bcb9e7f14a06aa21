package splice

import (
	"encoding/binary"

	"hotpath.dev/go-shim/internal/h2"
)

// How grpc-go stops a connection, and what the door does about it:
//
//	grpc-go                       door                                  client
//	GOAWAY(2^31-1), PING  ──────> new calls are cold  ────────────────> opens no more streams
//	                              holds back the answer  <───────────── PING's answer
//	                              … until no hot call is under way: each is answered, or a stream of grpc-go's by then
//	GOAWAY(last) <── the answer
//	             ───────────────> last becomes the client's id  ──────>
//	closes when its streams end
//
// Without that, a call that the client may rely on could come too late for grpc-go, which ignores it.

const everyStream = 1<<31 - 1

// drainPing is what grpc-go's PING says.
func drainPing() [8]byte { return [8]byte{1, 6, 1, 8, 0, 3, 3, 9} }

// goAway passes grpc-go's GOAWAY.
func (c *Core) goAway(frame []byte) {
	payload := frame[h2.HeaderLen:]
	c.draining = true
	last := binary.BigEndian.Uint32(payload) & everyStream
	if last != everyStream {
		c.drained = true
		last = c.lastTaken(last)
	}
	code := h2.ErrCode(binary.BigEndian.Uint32(payload[4:]))
	if code != h2.NoError {
		c.rule(brokeGRPC)
	}
	out := c.client()
	out.b = h2.AppendGoAway(out.b, last, code, payload[8:])
}

// lastTaken is the client's highest stream that was taken, if grpc-go has read no stream beyond the one of that id: it
// ignores those that it reads now.
func (c *Core) lastTaken(inner uint32) uint32 {
	last := c.maxID
	c.streams.each(func(s *stream) {
		if s.inner > inner && s.id <= last {
			last = max(s.id, 2) - 2
		}
	})
	return last
}
