package splice

import (
	"math"
	"time"

	"hotpath.dev/go-shim/internal/h2"
)

const (
	// maxFrame is the longest payload that anybody sends: grpc-go never allows its clients more.
	maxFrame = 16384
	// defaultWindow is HTTP/2's.
	defaultWindow = 65535
	// creditBatch is how many bytes of hot requests are credited at once: a quarter of the smallest window, as in grpc-go.
	creditBatch = defaultWindow / 4
	// defaultHeaderList is grpc-go's limit if it does not name one.
	defaultHeaderList = 16 << 20
	noStream          = 2 // an id that no stream can have
	// aheadBytes is how much grpc-go may have to read before the door parses on. A client can write a header list that is as
	// long as allowed with a few bytes, by its header table, and grpc-go gets it in full, because it has no such table. With
	// a call of usual length on top of it, the buffer still is one that the pool keeps.
	aheadBytes = keptBytes / 2
)

// Core is the conversation of one client with grpc-go and the policy.
//
//	client ── FromClient ──>      ──> toServer ── grpc-go
//	                         Core
//	client <── toClient <──       <── FromServer ── grpc-go
//	                         ^ │
//	      answer, handOver … │ v calls, gone ── policy
type Core struct {
	limits  *Limits
	decoder *h2.Decoder
	pools   *pools
	extra   bool // calls with unknown metadata are hot too

	// What came out: nil if there is nothing.
	toClient, toServer *buffer
	*batch
	// now is when the bytes came that are being parsed. overloaded is true if no call may become hot.
	now        time.Time
	overloaded bool

	// From the client.
	preface   int    // bytes of it that have come
	blind     bool   // it is no HTTP/2: all bytes pass as they are
	deaf      bool   // grpc-go was given something on which it ends the connection
	calmed    bool   // the door has ended the connection, by GOAWAY
	waits     bool   // FromClient left frames unread, until grpc-go has read more
	started   bool   // the first SETTINGS have come
	block     []byte // a header block whose frames are not all there
	blockHead h2.Frame
	blocks    int  // frames of it
	skipping  bool // it is not to be decoded
	maxID     uint32
	illegals  []uint32 // ids of HEADERS that grpc-go got as noStream, and has not judged yet
	resets    int

	// From grpc-go.
	partial     []byte // a frame that is not all there
	serverBlock []byte
	serverHead  h2.Frame
	settled     bool // it has acknowledged the first SETTINGS
	draining    bool // it has said the first GOAWAY
	drained     bool // it has said the last one, and takes no more streams
	heldAck     bool // the answer to its drain PING is held back
	replied     bool // DATA that grpc-go did not send just then has left since the client's last PING

	streams, inner         table
	lastInner              uint32
	hot, collecting        int
	bodies                 int // bytes of incomplete hot requests
	maxStreams, headerList uint32

	encoder encoder
	unacked []clientSettings
	// clientInitial, clientList and serverInitial are what SETTINGS say of windows and of header lists.
	clientInitial, serverInitial int64
	clientList                   uint32

	windows
	counted counts
	broke   string // the rule that ended the connection, of Rules
}

func newCore(limits *Limits, paths func([]byte) int, extra bool, p *pools) *Core {
	return &Core{
		limits: limits, decoder: h2.NewDecoder(paths), pools: p, extra: extra, batch: new(batch),
		streams: table{pools: p}, inner: table{pools: p},
		maxStreams: math.MaxUint32, headerList: defaultHeaderList, encoder: newEncoder(),
		clientInitial: defaultWindow, serverInitial: defaultWindow, clientList: math.MaxUint32,
		windows: windows{window: defaultWindow},
	}
}

// client and server are where to append what goes to them.
func (c *Core) client() *buffer {
	if c.toClient == nil {
		c.toClient = c.pools.buffer()
	}
	return c.toClient
}

func (c *Core) server() *buffer {
	if c.toServer == nil {
		c.toServer = c.pools.buffer()
	}
	return c.toServer
}

// FromClient takes the client's bytes and returns how many it used: those of an unfinished frame must be given again. If it
// sets waits, the others must be given again once grpc-go has taken what is there for it.
func (c *Core) FromClient(b []byte) int {
	used := 0
	c.waits = false
	if c.preface < len(h2.Preface) && !c.blind {
		used = min(len(b), len(h2.Preface)-c.preface)
		c.blind = string(b[:used]) != h2.Preface[c.preface:c.preface+used]
		c.preface += used
		c.passToServer(b[:used])
	}
	if c.blind {
		c.rule(brokeProtocol)
		c.passToServer(b[used:])
		return len(b)
	}
	for !c.deaf && len(b)-used >= h2.HeaderLen {
		if c.waits = c.toServer != nil && c.toServer.left() > aheadBytes; c.waits {
			return used
		}
		f := h2.ParseFrame(b[used:])
		end := used + h2.HeaderLen + f.Length
		if f.Length > maxFrame {
			c.misbehaved(b[used : used+h2.HeaderLen])
			break
		}
		if end > len(b) {
			return used
		}
		c.clientFrame(f, b[used:end])
		used = end
	}
	if c.deaf {
		return len(b)
	}
	return used
}

func (c *Core) passToServer(b []byte) {
	if len(b) > 0 {
		out := c.server()
		out.b = append(out.b, b...)
	}
}

// misbehaved gives grpc-go a frame that breaks a rule. It ends the connection; what else the client says does not matter.
func (c *Core) misbehaved(frame []byte) {
	if c.blocks > 0 {
		// grpc-go must see that the frame interrupts a header block.
		out := c.server()
		out.b = h2.Frame{Type: h2.Headers, Stream: noStream}.Append(out.b)
	}
	c.passToServer(frame)
	c.deaf = true
	c.rule(brokeProtocol)
}

// calm ends the connection of a client that exceeds a limit of the door's own. why is one of Rules.
func (c *Core) calm(why string) {
	c.rule(why)
	out := c.client()
	out.b = h2.AppendGoAway(out.b, c.maxID, h2.EnhanceYourCalm, []byte(why))
	c.deaf, c.calmed = true, true
}

// take copies what is there for grpc-go.
func (c *Core) take(p []byte) int {
	in := c.toServer
	if in == nil {
		return 0
	}
	n := copy(p, in.b[in.off:])
	if in.off += n; in.left() == 0 {
		c.toServer = nil
		c.pools.putBuffer(in)
	}
	return n
}

// FromServer takes grpc-go's bytes.
func (c *Core) FromServer(b []byte) {
	if c.blind {
		out := c.client()
		out.b = append(out.b, b...)
		return
	}
	for len(b) > 0 {
		if len(c.partial) == 0 && len(b) >= h2.HeaderLen {
			f := h2.ParseFrame(b)
			if n := h2.HeaderLen + f.Length; n <= len(b) {
				c.serverFrame(f, b[:n])
				b = b[n:]
				continue
			}
		}
		b = b[c.gather(b):]
	}
}

// gather adds to the unfinished frame of grpc-go, and returns how much it took.
func (c *Core) gather(b []byte) int {
	if c.partial == nil {
		c.partial = *c.pools.Get(0)
		c.partial = c.partial[:0]
	}
	want := h2.HeaderLen
	if len(c.partial) >= want {
		want += h2.ParseFrame(c.partial).Length
	}
	n := min(len(b), want-len(c.partial))
	c.partial = append(c.partial, b[:n]...)
	if len(c.partial) < h2.HeaderLen {
		return n
	}
	if f := h2.ParseFrame(c.partial); len(c.partial) == h2.HeaderLen+f.Length {
		c.serverFrame(f, c.partial)
		whole := c.partial[:cap(c.partial)]
		c.partial = nil
		if len(whole) == chunkBytes {
			c.pools.Put(&whole)
		}
	}
	return n
}

// close forgets all streams; calls of the policy join gone.
func (c *Core) close() {
	c.deaf = true
	var all []*stream
	c.streams.each(func(s *stream) { all = append(all, s) })
	for _, s := range all {
		c.forget(s)
	}
	c.first, c.last = nil, nil
}

// expire hands over the hot requests that are incomplete since before that time.
func (c *Core) expire(before time.Time) {
	var late []*stream
	c.streams.each(func(s *stream) {
		if s.phase == collecting && s.call.Arrived.Before(before) {
			late = append(late, s)
		}
	})
	for _, s := range late {
		c.counted.handOver(ForIncomplete)
		c.handOver(s, s.call.left(c.now))
	}
}
