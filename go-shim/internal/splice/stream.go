package splice

import "hotpath.dev/go-shim/internal/h2"

// phase is where a stream is:
//
//	            a plain call of a hot method           its message is there           Answer, Refuse
//	HEADERS ──────────────────────────> collecting ─────────────────> asked ─────────────> sending ──> over
//	   │                                     │                          │
//	   │ anything else          odd, long or │ late               Local │
//	   └───────────────────────────────────> cold <─────────────────────┘
type phase uint8

const (
	cold phase = iota
	collecting
	asked
	sending
)

// stream is one stream of the client.
type stream struct {
	call  Call
	id    uint32
	inner uint32 // the stream's id towards grpc-go; 0 while it is hot
	phase phase
	// clientDone and serverDone say which side has ended the stream.
	clientDone, serverDone bool
	// begun is true once the policy has the call.
	begun bool
	// ended is true once the policy has ended the call, or the door has.
	ended bool

	// window is how much more DATA the client takes. Like every window, it may be negative.
	window int64
	// quota is how much more DATA the client may send, and padding how much of it was none; both only while it is hot.
	quota   int64
	padding uint32
	// body is the request so far: the prefix of 5 bytes, and the message.
	body []byte

	// held is DATA that waits for the client's windows; nil if there is none.
	held *buffer
	// end is what follows the held DATA, and block the trailers of an endBlock.
	end   ending
	block []byte
	// reset is true if RST_STREAM with NO_ERROR follows the end.
	reset bool
	// next is the next in the queue of streams with held DATA for which their own window has room.
	next   *stream
	queued bool
}

type ending uint8

const (
	endNone  ending = iota
	endData         // the last DATA frame ends the stream
	endOK           // trailers of success
	endBlock        // trailers that are in block
)

const prefixLen = 5

func (c *Core) newStream(id uint32) *stream {
	s, ok := c.pools.streams.Get().(*stream)
	if !ok {
		s = new(stream)
		s.call.stream = s
	}
	s.id, s.window = id, c.clientInitial
	c.streams.put(id, s)
	return s
}

// recycle makes a stream ready for another. What the policy keeps with its call stays.
func (c *Core) recycle(s *stream) {
	body, owner := s.body[:0], s.call.Owner
	if cap(body) > keptBody {
		body = nil
	}
	*s = stream{body: body}
	s.call.stream, s.call.Owner = s, owner
	c.pools.streams.Put(s)
}

// forget takes a stream out of everything. Its call, if the policy has it, joins the batch's gone.
func (c *Core) forget(s *stream) {
	c.streams.remove(s.id)
	if s.inner != 0 {
		c.inner.remove(s.inner)
	}
	c.unhold(s)
	withPolicy := s.phase == asked && !s.ended
	if withPolicy && !s.begun {
		c.withdraw(&s.call)
		withPolicy = false
	}
	c.leave(s)
	s.ended = true
	if withPolicy {
		if c.batch == nil {
			c.batch = new(batch) // grpc-go reset a hot stream: very rare
		}
		c.gone = append(c.gone, &s.call)
		return // it is recycled once the policy knows
	}
	if !s.queued {
		c.recycle(s)
	}
}

// leave ends the hot phase of a stream.
func (c *Core) leave(s *stream) {
	if s.phase == cold {
		return
	}
	if s.phase == collecting {
		c.collecting--
		c.bodies -= len(s.body)
	}
	s.phase = cold
	c.hot--
	if c.hot == 0 && c.heldAck {
		c.heldAck = false
		out := c.server()
		out.b = h2.AppendPing(out.b, true, drainPing())
	}
}

// withdraw takes a call out of the batch that the policy has not seen yet.
func (c *Core) withdraw(call *Call) {
	for i := len(c.calls) - 1; i >= 0; i-- {
		if c.calls[i] == call {
			c.calls = append(c.calls[:i], c.calls[i+1:]...)
			return
		}
	}
}

// refuse resets a stream that the client may still take to be open.
func (c *Core) refuse(id uint32, code h2.ErrCode) {
	c.resets++
	out := c.client()
	out.b = h2.AppendRST(out.b, id, code)
}

// abort resets a stream and forgets it.
func (c *Core) abort(s *stream, code h2.ErrCode) {
	c.refuse(s.id, code)
	c.forget(s)
}
