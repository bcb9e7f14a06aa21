package splice

import (
	"net"
	"time"
)

// slowBytes is how much a client may have to take before grpc-go's Write waits, as it would for a full socket.
const slowBytes = 64 << 10

// Write takes grpc-go's bytes. It waits while the client is slow.
func (c *Conn) Write(b []byte) (n int, err error) {
	defer c.recovered(&err)
	if err := c.accept(b); err != nil {
		return 0, err
	}
	c.flush()
	if c.socket.unread.Load() > slowBytes {
		if err := c.room(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (c *Conn) accept(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.err != nil {
		return c.err
	}
	c.core.FromServer(b)
	c.changed()
	if c.core.batch != nil {
		gone := c.core.gone
		c.core.batch = nil
		go c.cancel(gone)
	}
	return nil
}

func (c *Conn) room() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.socket.unread.Load() > slowBytes {
		if c.err != nil {
			return c.err
		}
		c.changes.Wait()
	}
	return nil
}

// flush sends what the core gave out. One goroutine does so at a time, and takes along what others add meanwhile.
func (c *Conn) flush() {
	c.flushed(false)
}

// flushed is flush; served is true if it is the one that grpc-go's goroutine owes.
func (c *Conn) flushed(served bool) {
	over, counted, err := c.flushAll(served)
	c.server.tell(&counted)
	if over || err != nil {
		c.shut()
	}
}

func (c *Conn) flushAll(served bool) (over bool, counted counts, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = c.serving && !served
	if c.flushing {
		return false, counted, nil // who writes also counts
	}
	c.flushing = true
	defer func() { c.flushing = false }() // if something panics
	for c.core.toClient != nil && err == nil {
		out := c.core.toClient
		c.core.toClient = nil
		if err = c.send(out); err != nil {
			c.end(err)
		}
	}
	c.flushing = false
	return c.over(), c.core.counted.take(), err
}

// over says whether grpc-go has closed the connection and all is written. It needs the lock.
func (c *Conn) over() bool {
	return c.closed && !c.flushing && c.core.toClient == nil && c.socket.unread.Load() == 0
}

func (c *Conn) send(out *buffer) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	_, err := c.Conn.Write(out.b)
	c.server.pools.putBuffer(out)
	return err
}

func (c *Conn) flushDirty() {
	defer c.recovered(nil)
	c.mu.Lock()
	c.dirty = false
	c.mu.Unlock()
	c.flush()
}

// moved is called when a slow client has taken something.
func (c *Conn) moved() {
	err := c.socket.failure()
	c.mu.Lock()
	if err != nil {
		if timedOut(err) {
			c.core.rule(brokeStalled)
		}
		c.end(err)
	}
	over := c.over()
	c.changes.Broadcast()
	c.mu.Unlock()
	if over || err != nil {
		c.shut()
	}
}

// Close ends the hot calls. The socket is closed once the client has taken the last bytes, or had time for it.
func (c *Conn) Close() (err error) {
	defer c.recovered(&err)
	if err := c.markClosed(); err != nil {
		return err
	}
	c.flush()
	return nil
}

func (c *Conn) markClosed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.end(net.ErrClosed)
	if c.timer != nil {
		c.timer.Stop()
	}
	c.changes.Broadcast()
	c.lastChance = time.AfterFunc(c.server.limits.CloseWait, c.shut)
	return nil
}

// SetReadDeadline is as of any connection.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.woken {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline sets that of reads: writes wait for Limits.Stall.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline has no effect.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
