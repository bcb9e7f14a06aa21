package splice

import (
	"fmt"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"hotpath.dev/go-shim/internal/h2"
)

// Hot is the policy: it says which methods are hot, and ends their calls.
type Hot interface {
	// Method returns the index of the hot method of that path, or -1.
	Method(path []byte) int
	// Begin takes the complete hot calls of one chunk. Each is ended once by Answer, Refuse, Reply, Expire or Local, from
	// any goroutine, maybe before Begin returns. The slice is valid until then.
	Begin(calls []*Call)
	// Cancel says that the client has left; the door has ended the call. What the policy still does with it until Cancel
	// returns has no effect; after that it may not touch the call any more.
	Cancel(call *Call)
}

// Call is a hot call. It belongs to the policy from Begin until the policy ends it, or Cancel returns.
type Call struct {
	Head h2.Head
	// Body is the message, valid until the call is ended.
	Body []byte
	// Arrived is when the call began to arrive.
	Arrived time.Time
	// Owner is the policy's own. It stays with the Call when that is used again for another call.
	Owner any

	conn   *Conn
	stream *stream
}

// Answer ends the call with a message, which may come in two parts. It copies them. tell adds the position to the
// headers. The reply leaves with the next FlushDirty, or when Begin returns. A reply that would have to be kept for a
// client that does not read becomes RESOURCE_EXHAUSTED if too much is kept already.
func (c *Call) Answer(before, body []byte, position uint64, tell bool) {
	conn := c.conn
	defer conn.recovered(nil)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if !conn.mayEnd(c) {
		return
	}
	if conn.hasRoom(c.stream, prefixLen+len(before)+len(body)) {
		conn.core.answer(c.stream, before, body, position, tell)
	} else {
		conn.core.refuseCall(c.stream, conn.server.noRoom(), position, tell)
	}
	conn.ended()
}

// hasRoom says whether a reply leaves at once, or may be kept. As in frontdoor, one connection has at most a quarter of what
// there is for all.
func (c *Conn) hasRoom(s *stream, n int) bool {
	own := int64(c.core.heldBytes) + c.socket.unread.Load()
	if own == 0 && int64(n) <= min(c.core.window, s.window) {
		return true
	}
	all := int64(c.server.limits.UnreadInAll)
	return (own == 0 || own+int64(n) <= all/4) && c.server.unread.Load()+int64(n) <= all
}

func (s *Server) noRoom() *spb.Status {
	return &spb.Status{Code: int32(codes.ResourceExhausted),
		Message: fmt.Sprintf("replies that are not read fill the %d bytes that there are for them", s.limits.UnreadInAll)}
}

// Refuse ends the call with a status that is not OK, as grpc-go would write it.
func (c *Call) Refuse(st *spb.Status, position uint64, tell bool) {
	conn := c.conn
	defer conn.recovered(nil)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.mayEnd(c) {
		conn.core.refuseCall(c.stream, st, position, tell)
		conn.ended()
	}
}

// Reply is what a handler of the service has to say.
type Reply struct {
	// Header and Trailer leave as grpc-go's server would send them: without its own keys, and those with -bin in base64.
	Header, Trailer metadata.MD
	// Sent is true if the handler sent its headers: then they come before a status too, even if there are none.
	Sent bool
	// Status is nil for success. Then Body is the message.
	Status *spb.Status
	Body   []byte
}

// Reply ends the call with what a handler has to say. It copies all of it. As by Answer, a message for which there is no room
// becomes RESOURCE_EXHAUSTED.
func (c *Call) Reply(r *Reply) {
	conn := c.conn
	defer conn.recovered(nil)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if !conn.mayEnd(c) {
		return
	}
	if r.Status != nil || conn.hasRoom(c.stream, prefixLen+len(r.Body)) {
		conn.core.reply(c.stream, r)
	} else {
		conn.core.refuseCall(c.stream, conn.server.noRoom(), 0, false)
	}
	conn.ended()
}

// Expire ends the call as grpc-go does when its time is over: by a reset.
func (c *Call) Expire() {
	conn := c.conn
	defer conn.recovered(nil)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.mayEnd(c) {
		conn.core.expireCall(c.stream)
		conn.ended()
	}
}

// Gone says whether nobody waits for an answer any more.
func (c *Call) Gone() bool {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	return !c.conn.mayEnd(c)
}

// Local ends the call for the policy by handing it to grpc-go, with what is left of its timeout. Unless key is empty, the
// call gets one more field, which its handler sees in the metadata.
func (c *Call) Local(key, value string) {
	conn := c.conn
	defer conn.recovered(nil)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.mayEnd(c) {
		var more []string
		if key != "" {
			more = []string{key, value}
		}
		conn.core.handOver(c.stream, c.left(time.Now()), more...)
		conn.ended()
	}
}

// left is what is left of the timeout, or below 0 if there is none.
func (c *Call) left(now time.Time) time.Duration {
	if !c.Head.HasTimeout {
		return -1
	}
	return max(0, c.Head.Timeout-now.Sub(c.Arrived))
}

// Peer is who calls, as grpc-go would tell a handler.
func (c *Call) Peer() *peer.Peer { return c.conn.peer }
