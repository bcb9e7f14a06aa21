package splice

import (
	"encoding/binary"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"hotpath.dev/go-shim/internal/h2"
)

// answer ends a call with a message.
func (c *Core) answer(s *stream, before, body []byte, position uint64, tell bool) {
	c.replying(s)
	if c.clientList < uint32(headList+okList) {
		c.abort(s, h2.InternalError) // as grpc-go does with headers that the client does not want
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
	if uint32(list+headList) > c.clientList {
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

// replying is the beginning of every reply of the door's own.
func (c *Core) replying(s *stream) {
	s.phase, s.ended = sending, true
	c.replied = true
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
