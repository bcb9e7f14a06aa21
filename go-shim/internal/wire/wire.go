// Package wire is a client's end of one HTTP/2 connection to the sidecar, with nothing between its user and the socket.
//
//	Flush ──> fill: control frames, and what each stream has to send ──> socket, without waiting
//	   ^            (as far as both windows allow)                          │ full: one goroutine drains
//	   │ windows, acknowledgements                                          v
//	read <── socket      whole messages ──> Handler.Message      trailers, resets ──> Handler.Ended
//
// grpc-go's client has a goroutine that writes, a queue before it and several allocations for each message. Here
// whoever calls Flush writes, and one goroutine reads, which calls each stream's Handler. A connection is never dialled
// again: when it is lost, all of its streams end.
package wire

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"

	"hotpath.dev/go-shim/internal/h2"
	"hotpath.dev/go-shim/internal/quiet"
)

const (
	// readBytes is the buffer of a connection. It must hold a whole frame.
	readBytes = 2 * (maxFrame + h2.HeaderLen)
	// maxControl bounds what the peer makes us say while it doesn't read.
	maxControl = 64 << 10
	// keptBytes is the longest buffer that is kept for the next write.
	keptBytes = 256 << 10
)

// Errors of connections.
var (
	ErrClosed = errors.New("the connection was closed")
	// ErrGoAway means that the peer takes no new streams.
	ErrGoAway = errors.New("the peer ends the connection")
	// ErrHung means that the peer answers no pings.
	ErrHung = errors.New("no answer to a ping in time")
)

// Config is what a connection needs.
type Config struct {
	// StreamWindow and ConnWindow are how many bytes the peer may send ahead.
	StreamWindow, ConnWindow uint32
	// A peer that sends nothing for PingEvery is pinged. If it sends nothing for PingTimeout then, the connection is
	// lost.
	PingEvery, PingTimeout time.Duration
	// Authority is the peer's name in calls.
	Authority string
}

// Conn is one connection. Its methods may be called from any goroutine.
type Conn struct {
	cfg  Config
	conn net.Conn
	// try is nil if the system can't write without waiting.
	try quiet.TryWriter
	// lost is closed when no stream can be opened any more.
	lost     chan struct{}
	running  sync.WaitGroup
	began    time.Time
	lastRead atomic.Int64

	// Only the reader uses these fields. block is a header block of which more is to come, on the stream headersOf.
	decoder   *hpack.Decoder
	fields    []hpack.HeaderField
	block     []byte
	headersOf h2.Frame

	mu      sync.Mutex
	streams []*Stream
	nextID  uint32
	// control is what leaves next, before any DATA.
	control []byte
	// window is what all streams together may send. peerWindow is the first window of a stream, peerFrame the longest
	// frame.
	window, peerWindow int64
	peerFrame          int
	// received counts down what the peer may send, used what of it was taken since it was last told.
	received, used int64
	// writing is true while somebody writes, wanted if somebody has called Flush since, and stuck if windows keep a
	// stream from sending.
	writing, wanted, stuck bool
	// out is what the writer sends.
	out []byte
	// err is why the connection is over; goingAway is true if that is near.
	err       error
	goingAway bool
	// pinged is when a ping left that nothing has answered yet.
	pinged int64
	timer  *time.Timer
}

// New makes the client's end of a connection that was just dialled, and closes it in the end.
func New(conn net.Conn, cfg Config) *Conn {
	c := &Conn{
		cfg: cfg, conn: conn, lost: make(chan struct{}), began: time.Now(), nextID: 1,
		window: firstWindow, peerWindow: firstWindow, peerFrame: maxFrame, received: int64(cfg.ConnWindow),
	}
	c.try, _ = conn.(quiet.TryWriter)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { c.fields = append(c.fields, f) })
	c.decoder.SetMaxStringLength(maxHeaderBytes)
	c.control = append(c.control, h2.Preface...)
	c.control = h2.AppendSettings(c.control, h2.Setting{ID: h2.SettingEnablePush, Value: 0},
		h2.Setting{ID: h2.SettingInitialWindowSize, Value: cfg.StreamWindow})
	c.control = h2.AppendWindowUpdate(c.control, 0, cfg.ConnWindow-firstWindow)
	c.mu.Lock()
	c.timer = time.AfterFunc(cfg.PingEvery, c.keepAlive)
	c.mu.Unlock()
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		c.read()
	}()
	c.Flush()
	return c
}

// Lost is closed when the connection takes no more streams.
func (c *Conn) Lost() <-chan struct{} { return c.lost }

// Close ends all streams, and waits until they have ended.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	c.running.Wait()
}

func (c *Conn) now() int64 { return int64(time.Since(c.began)) }

// fail ends the connection. The reader then ends the streams.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		c.leave()
		c.timer.Stop()
	}
	c.mu.Unlock()
	if first {
		_ = c.conn.Close() // what it says changes nothing
	}
}

// leave says once that the connection takes no more streams. The caller holds c.mu.
func (c *Conn) leave() {
	if !c.goingAway {
		c.goingAway = true
		close(c.lost)
	}
}

// read handles what the peer sends, until the connection is over.
func (c *Conn) read() {
	buffer := make([]byte, readBytes)
	held := 0
	for {
		n, err := c.conn.Read(buffer[held:])
		c.lastRead.Store(c.now())
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.conn.SetReadDeadline(time.Time{}) // whoever cancels a stream now sets it again
			err = nil
		}
		rest := buffer[:held+n]
		for err == nil && len(rest) >= h2.HeaderLen {
			f := h2.ParseFrame(rest)
			if f.Length > maxFrame {
				err = violated(h2.FrameSizeError, "a frame of %d bytes", f.Length)
				break
			}
			if len(rest) < h2.HeaderLen+f.Length {
				break
			}
			err = c.frame(f, rest[h2.HeaderLen:h2.HeaderLen+f.Length])
			rest = rest[h2.HeaderLen+f.Length:]
		}
		held = copy(buffer, rest)
		if err != nil {
			c.over(err)
			return
		}
		c.endCancelled()
		if c.mustSend() {
			c.Flush()
		}
	}
}

// over ends the connection and then all streams.
func (c *Conn) over(err error) {
	if wrong := (*h2.Error)(nil); errors.As(err, &wrong) {
		c.mu.Lock()
		c.control = h2.AppendGoAway(c.control, 0, wrong.Code, nil)
		c.mu.Unlock()
		c.Flush()
	}
	c.fail(err)
	c.mu.Lock()
	err = c.err
	streams := c.streams
	c.streams = nil // so that nobody cancels them any more
	for _, s := range streams {
		if s.cause == nil {
			s.cause = unavailable(err)
		}
	}
	c.mu.Unlock()
	for _, s := range streams {
		s.end(s.cause)
	}
}

// endCancelled ends the streams that somebody has cancelled.
func (c *Conn) endCancelled() {
	c.mu.Lock()
	var ended []*Stream
	c.streams = slices.DeleteFunc(c.streams, func(s *Stream) bool {
		if s.cause != nil {
			ended = append(ended, s)
		}
		return s.cause != nil
	})
	c.mu.Unlock()
	for _, s := range ended {
		s.end(s.cause)
	}
}

// keepAlive pings a peer that sends nothing, and loses the connection to one that doesn't answer.
func (c *Conn) keepAlive() {
	last, now := c.lastRead.Load(), c.now()
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	switch idle := time.Duration(now - last); {
	case c.pinged > 0 && last < c.pinged && now-c.pinged >= int64(c.cfg.PingTimeout):
		c.mu.Unlock()
		c.fail(ErrHung)
		return
	case c.pinged > 0 && last < c.pinged:
		c.timer.Reset(min(c.cfg.PingEvery, c.cfg.PingTimeout-time.Duration(now-c.pinged)))
	case idle < c.cfg.PingEvery:
		c.pinged = 0
		c.timer.Reset(c.cfg.PingEvery - idle)
	default:
		c.pinged = now
		c.control = h2.AppendPing(c.control, false, [8]byte{})
		c.timer.Reset(min(c.cfg.PingEvery, c.cfg.PingTimeout))
	}
	c.mu.Unlock()
	c.Flush()
}
