package frontdoor

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
)

// watchBytes is the length of the shortest reply that is always watched. A shorter reply is watched only if the caller
// is owed nothing else. That is enough to see that a caller takes nothing.
const watchBytes = 1<<10 + 1

// caller is one connection. It is owed the replies that grpc-go holds and could not write yet.
type caller struct {
	conn net.Conn
	raw  syscall.RawConn
	door *Door

	// owing is true if owed is not 0. It can be read without mu.
	owing atomic.Bool

	mu     sync.Mutex
	owed   int64
	closed bool
	// took is true if some of what is owed has left since the last sweep. still counts the sweeps in a row in which
	// nothing left.
	took  bool
	still int
}

// forgive writes off what a connection is owed that has ended, because grpc-go has dropped it too.
func (c *caller) forgive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.door.unread.Add(-c.owed)
	c.owed, c.closed = 0, true
	c.owing.Store(false)
}

// reply is a watched reply that is owed.
type reply struct {
	to   *caller
	rest atomic.Int64
}

// owe returns the reply, as a watched one if necessary, or refuses it.
func (d *Door) owe(ctx context.Context, message any) (any, error) {
	size := codec.Size(message)
	if size < 0 {
		return message, nil
	}
	c := d.caller(ctx)
	if c == nil || size < watchBytes && c.owing.Load() {
		return message, nil
	}
	// An empty reply still takes a few bytes in HTTP/2.
	size = max(size, 1)
	if !c.take(int64(size)) {
		d.metrics.unread.Inc()
		return nil, status.Errorf(codes.ResourceExhausted, "replies that are not read fill the %d bytes that there are for them", d.limits.UnreadBytes)
	}
	r := &reply{to: c}
	r.rest.Store(int64(size))
	return &codec.Watched{Message: message, Watcher: r}, nil
}

func (d *Door) caller(ctx context.Context) *caller {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	c, ok := d.callers.Load(p.Addr)
	if !ok {
		return nil
	}
	return c.(*caller)
}

func (c *caller) take(bytes int64) bool {
	limit := c.door.limits.UnreadBytes
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.owed > 0 && c.owed+bytes > limit/4 {
		return c.closed
	}
	if c.door.unread.Add(bytes) > limit {
		c.door.unread.Add(-bytes)
		return false
	}
	c.owed += bytes
	c.owing.Store(true)
	return true
}

// Left implements codec.Watcher.
func (r *reply) Left(bytes int) {
	for {
		rest := r.rest.Load()
		n := min(int64(max(bytes, 1)), rest)
		if n <= 0 {
			return
		}
		if r.rest.CompareAndSwap(rest, rest-n) {
			r.to.left(n)
			return
		}
	}
}

// Gone implements codec.Watcher.
func (r *reply) Gone() {
	if rest := r.rest.Swap(0); rest > 0 {
		r.to.left(rest)
	}
}

func (c *caller) left(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.owed -= bytes
	c.took = true
	c.owing.Store(c.owed > 0)
	c.door.unread.Add(-bytes)
}

// sweep is called every Arrival / ticks.
func (d *Door) sweep() {
	if n := d.arrivals.sweep(); n > 0 {
		d.metrics.late.Add(float64(n))
	}
	mostStill := max(1, int((d.limits.Stall*ticks+d.limits.Arrival-1)/d.limits.Arrival))
	d.forgetClosed()
	suspected := false
	d.callers.Range(func(_, value any) bool {
		c := value.(*caller)
		still := c.stillness()
		suspected = suspected || still == mostStill
		if still > mostStill {
			d.cutOff(c)
		}
		return true
	})
	if suspected {
		// A reply that grpc-go dropped counts as owed until the collector has found it. No caller must be cut off for
		// that.
		runtime.GC()
	}
}

func (d *Door) cutOff(c *caller) {
	d.metrics.stalled.Inc()
	d.warn.Warn("stalled", "a caller was cut off: it takes nothing of what it is owed",
		"caller", c.conn.RemoteAddr().String(), "for", d.limits.Stall)
	_ = c.conn.Close()
}

// stillness returns the number of sweeps in a row in which nothing of what is owed has left.
func (c *caller) stillness() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.took || c.owed == 0 {
		c.still = 0
	} else {
		c.still++
	}
	c.took = false
	return c.still
}
