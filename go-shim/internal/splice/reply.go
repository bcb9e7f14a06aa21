package splice

import (
	"encoding/binary"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"hotpath.dev/go-shim/internal/h2"
)

// answer ends a call with a message.
func (c *Core) answer(s *stream, before, body []byte, position uint64, tell bool) {
	c.replying(s)
	if c.headTooLong(s, tell) {
		c.abort(s, h2.InternalError)
		return
	}
	c.headers(s, position, tell)
	var prefix [prefixLen]byte
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(before)+len(body)))
	c.send(s, prefix[:], before, body)
	s.end = endOK
	if s.held == nil {
		c.finish(s)
	}
}

// refuseCall ends a call with a status: trailers only, or after headers that tell the position.
func (c *Core) refuseCall(s *stream, st *spb.Status, position uint64, tell bool) {
	c.replying(s)
	out := c.client()
	before := len(out.b)
	if tell {
		c.headers(s, position, true)
	}
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	if tell {
		out.b = c.encoder.begin(out.b)
	} else {
		out.b = c.encoder.head(out.b, s.call.Head.Proto)
	}
	var list int
	out.b, list = appendStatus(out.b, st)
	if !tell {
		list += s.headList(false)
	}
	if uint32(list) > c.clientList || tell && c.headTooLong(s, true) {
		// What the encoder may have put into the table would be lost with the block, so the block goes as it is wanted.
		c.encoder = encoder{lowered: true}
		out.b = out.b[:before]
		c.abort(s, h2.InternalError)
		return
	}
	out.b = frameBlock(out.b, begin, s.id, true)
	s.serverDone = true
	c.forget(s)
}

// headTooLong is true if the client wants no headers as long as those of a reply. grpc-go resets such streams. Trailers of
// success are shorter.
func (c *Core) headTooLong(s *stream, tell bool) bool { return uint32(s.headList(tell)) > c.clientList }

func (s *stream) headList(tell bool) int {
	list := headList
	if s.call.Head.Proto {
		list += protoList
	}
	if tell {
		list += positionList
	}
	return list
}

// replying is the beginning of every reply of the door's own.
func (c *Core) replying(s *stream) {
	s.phase, s.ended = sending, true
	c.replied = true
	c.counted.answered++
}

func (c *Core) headers(s *stream, position uint64, tell bool) {
	out := c.client()
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	out.b = c.encoder.head(out.b, s.call.Head.Proto)
	if tell {
		out.b = appendPosition(out.b, position)
	}
	out.b = frameBlock(out.b, begin, s.id, false)
}
