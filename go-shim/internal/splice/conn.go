package splice

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
)

// ErrPanic is what grpc-go sees of a connection on which the door, or its policy, panicked.
var ErrPanic = errors.New("the front door panicked on this connection")

// Conn is the connection that grpc-go serves: a Core with a lock, a socket and time.
//
// Locks: mu guards the core and may be held while the socket's own are taken, never the other way round. No system call that
// sends or receives, and nothing of the policy's, happens under mu.
type Conn struct {
	net.Conn // what the client's bytes come from: the socket, or TLS over it
	server   *Server
	socket   *socket
	peer     *peer.Peer
	input    input

	mu sync.Mutex
	// changes is broadcast when there is room again for unread bytes, something for grpc-go, or the end.
	changes sync.Cond
	core    Core
	err     error // what grpc-go gets from now on
	// reading is true while grpc-go's goroutine waits for the socket, woken if it was told to come back.
	reading, woken bool
	deadline       time.Time // for reading, as grpc-go set it
	flushing       bool      // somebody writes what the core gives out
	serving        bool      // grpc-go's goroutine parses or serves calls, and will write then
	closed         bool      // by grpc-go
	held           int       // of core.heldBytes, what is in server.unread
	dirty          bool      // in the server's list
	next           *Conn     // in that list
	timer          *time.Timer
	ticking        bool
	stall          stall
	// resets are core.resets as last seen, resetsThen those at resetsAt, when the second began for which they are bounded.
	resets, resetsThen int
	resetsAt           time.Time

	closing    sync.Once
	lastChance *time.Timer // closes the socket of a client that does not take the last bytes
}

func newConn(server *Server, s *socket, over net.Conn, who *peer.Peer) *Conn {
	c := &Conn{Conn: over, server: server, socket: s, peer: who}
	c.core = *newCore(&server.limits, server.config.Hot.Method, server.config.Extra, &server.pools)
	c.core.batch = nil
	c.changes.L = &c.mu
	c.input = newInput(over, &server.pools)
	s.onMoved(c.moved)
	server.config.Observer.Opened()
	return c
}

// Read gives grpc-go the client's bytes that are not hot. It returns when there are some, and meanwhile serves hot calls.
func (c *Conn) Read(p []byte) (n int, err error) {
	defer c.recovered(&err)
	if len(p) == 0 {
		return 0, nil
	}
	return c.read(func() []byte { return p })
}

// ReadOnReady is what a newer grpc-go calls, so that it needs no buffer while the connection is idle.
func (c *Conn) ReadOnReady(length int, pool mem.BufferPool) (buffer *[]byte, n int, err error) {
	defer c.recovered(&err)
	n, err = c.read(func() []byte {
		buffer = pool.Get(length)
		return *buffer
	})
	return buffer, n, err
}

// read calls room when there is something to put there.
func (c *Conn) read(room func() []byte) (n int, err error) {
	for {
		if n, err = c.ready(room); n > 0 || err != nil {
			return n, err
		}
		if c.core.waits { // nobody else changes that
			c.digest(0, nil)
			continue
		}
		read, err := c.input.read()
		c.digest(read, err)
	}
}

// ready waits until there is something for grpc-go, or room for replies so that the socket may be read.
func (c *Conn) ready(room func() []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if in := c.core.toServer; in != nil && in.left() > 0 {
			return c.core.take(room()), nil
		}
		c.core.take(nil)
		if c.err != nil {
			return 0, c.err
		}
		if c.socket.unread.Load() < int64(c.server.limits.Unread) {
			c.reading = true
			return 0, nil
		}
		c.changes.Wait()
	}
}

// digest parses what was read, and serves the calls that it completes.
func (c *Conn) digest(n int, err error) {
	found := c.server.pools.batch()
	c.parse(found, n, err)
	for _, call := range found.gone {
		c.server.config.Hot.Cancel(call)
		c.core.recycle(call.stream)
	}
	if len(found.calls) > 0 {
		c.server.config.Hot.Begin(found.calls)
	}
	c.server.pools.putBatch(found)
	c.flushed(true)
}

func (c *Conn) parse(found *batch, n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.serving = false, true
	woken := c.woken || c.core.settled && c.deadline.IsZero() // some connections notice an old deadline late
	if c.woken || woken && err != nil {
		c.woken = false
		_ = c.Conn.SetReadDeadline(c.deadline)
		if timedOut(err) {
			err = nil
		}
	}
	c.core.batch = found
	defer func() { c.core.batch = nil }()
	if (n > 0 || c.core.waits) && c.err == nil {
		c.core.now = time.Now()
		c.core.overloaded = c.server.unread.Load() > int64(c.server.limits.UnreadInAll)
		c.input.used(c.core.FromClient(c.input.bytes()))
		c.judge()
		for _, call := range found.calls {
			call.conn = c
			call.stream.begun = true
		}
	}
	if err != nil {
		c.end(err)
	}
	c.changed()
}

func timedOut(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// judge looks at what takes time to judge.
func (c *Conn) judge() {
	if c.core.resets != c.resets {
		if c.core.now.Sub(c.resetsAt) > time.Second {
			c.resetsAt, c.resetsThen = c.core.now, c.resets
		}
		if c.resets = c.core.resets; c.resets-c.resetsThen > c.server.limits.Resets {
			c.core.calm(brokeResets)
		}
	}
	if c.core.calmed && c.err == nil {
		c.end(io.EOF)
	}
	if c.core.collecting > 0 && !c.ticking {
		c.ticking = true
		if c.timer == nil {
			c.timer = time.AfterFunc(c.server.limits.Incomplete, c.tick)
		} else {
			c.timer.Reset(c.server.limits.Incomplete)
		}
	}
}

// tick hands over requests that are incomplete for long.
func (c *Conn) tick() {
	defer c.recovered(nil)
	c.hurry()
	c.flush()
}

func (c *Conn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticking = false
	if c.err != nil {
		return
	}
	c.core.now = time.Now()
	c.core.expire(c.core.now.Add(-c.server.limits.Incomplete))
	c.judge()
	c.changed()
}

// end makes err what grpc-go gets next, and ends the hot calls. It needs the lock, and a batch.
func (c *Conn) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.core.batch == nil {
		c.core.batch = new(batch)
		defer func() {
			gone := c.core.batch.gone
			c.core.batch = nil
			if len(gone) > 0 {
				go c.cancel(gone)
			}
		}()
	}
	c.core.close()
	c.wake()
}

// cancel tells the policy, when that is not the one who calls.
func (c *Conn) cancel(gone []*Call) {
	defer c.recovered(nil)
	for _, call := range gone {
		c.server.config.Hot.Cancel(call)
	}
}

// mayEnd says whether a call still waits for its end.
func (c *Conn) mayEnd(call *Call) bool { return c.err == nil && !call.stream.ended }

// changed sees to it that others notice what the core gave out. It needs the lock.
func (c *Conn) changed() {
	if d := c.core.heldBytes - c.held; d != 0 {
		c.held += d
		c.server.unread.Add(int64(d))
		c.watchHeld()
	}
	if c.core.toServer != nil {
		c.wake()
	}
}

// ended is changed after the policy has ended a call: FlushDirty sends the reply, unless somebody does so anyway.
func (c *Conn) ended() {
	c.changed()
	if c.core.toClient == nil || c.dirty || c.serving || c.flushing {
		return
	}
	c.dirty = true
	for {
		head := c.server.dirty.Load()
		c.next = head
		if c.server.dirty.CompareAndSwap(head, c) {
			return
		}
	}
}

// wake makes grpc-go's goroutine look again. It needs the lock.
func (c *Conn) wake() {
	c.changes.Broadcast()
	if c.reading && !c.woken {
		c.woken = true
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// recovered makes a panic cost no more than this connection.
func (c *Conn) recovered(err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.server.config.Logger.Error("the front door panicked; it closes the connection", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if err != nil {
		*err = ErrPanic
	}
	func() {
		defer func() { _ = recover() }() // the core may be in any state
		c.mu.Lock()
		defer c.mu.Unlock()
		c.core.rule(brokePanic)
		c.end(ErrPanic)
	}()
	c.shut()
}

// shut closes the socket.
func (c *Conn) shut() {
	c.closing.Do(func() {
		_ = c.Conn.Close()
		c.server.config.Observer.Closed(c.lastRule())
	})
}

// lastRule returns the rule that ended the connection, if one did, when nothing waits for the client any more.
func (c *Conn) lastRule() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastChance != nil {
		c.lastChance.Stop()
	}
	return c.core.broke
}
