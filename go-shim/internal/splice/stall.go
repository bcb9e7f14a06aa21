package splice

import (
	"errors"
	"time"
)

// ErrStalled is what grpc-go reads from a connection whose client leaves hot replies for Limits.Stall.
var ErrStalled = errors.New("the client opens no window for replies to its calls")

// stall is the time that hot replies have for leaving. A client that reads the socket but opens no window is not slow for the
// socket; without this time a few such clients could have all the bytes that there are for unread replies, for ever.
type stall struct {
	timer   *time.Timer
	running bool
	since   time.Time
	left    int64 // core.hotLeft then
}

// watchHeld sets the timer while hot replies wait. It needs the lock.
func (c *Conn) watchHeld() {
	waits := c.core.hotHeld > 0 && c.err == nil
	if waits == c.stall.running {
		return
	}
	c.stall.running, c.stall.since, c.stall.left = waits, time.Now(), c.core.hotLeft
	switch {
	case !waits:
		c.stall.timer.Stop()
	case c.stall.timer == nil:
		c.stall.timer = time.AfterFunc(c.server.limits.Stall, c.heldLong)
	default:
		c.stall.timer.Reset(c.server.limits.Stall)
	}
}

func (c *Conn) heldLong() {
	defer c.recovered(nil)
	if c.isStalled() {
		c.shut()
	}
}

// isStalled ends the connection if the client has taken too little since the timer was set.
func (c *Conn) isStalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The timer may have been stopped, and set again, while it fired.
	if !c.stall.running || c.err != nil || time.Since(c.stall.since) < c.server.limits.Stall {
		return false
	}
	c.stall.running = false
	if c.core.hotLeft-c.stall.left >= drainBytes {
		c.watchHeld()
		return false
	}
	c.core.rule(brokeStalled)
	c.end(ErrStalled)
	c.changes.Broadcast()
	return true
}
