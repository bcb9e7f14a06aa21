package splice

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"hotpath.dev/go-shim/internal/quiet"
)

// drainBytes is how much a slow client must take within Limits.Stall.
const drainBytes = 16 << 10

// socket is a connection whose Write never waits: what the system does not take at once is kept, and written by
// a goroutine that ends when all is written. TLS, if there is any, writes into it.
type socket struct {
	net.Conn
	try    quiet.TryWriter // nil if the connection can't
	stall  time.Duration
	unread atomic.Int64 // the bytes kept
	inAll  *atomic.Int64
	// moved is called, without a lock, whenever the goroutine has written some, or failed.
	moved func()

	mu       sync.Mutex
	kept     []byte
	draining bool
	err      error
}

func newSocket(raw net.Conn, stall time.Duration, inAll *atomic.Int64) *socket {
	s := &socket{Conn: quiet.Wrap(raw), stall: stall, inAll: inAll, moved: func() {}}
	s.try, _ = s.Conn.(quiet.TryWriter)
	return s
}

func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if s.err == nil && !s.draining && s.try != nil {
		n, s.err = s.try.TryWrite(b)
	}
	if s.err != nil {
		return n, s.err
	}
	if n < len(b) {
		s.kept = append(s.kept, b[n:]...)
		s.unread.Add(int64(len(b) - n))
		s.inAll.Add(int64(len(b) - n))
		if !s.draining {
			s.draining = true
			go s.drain()
		}
	}
	return len(b), nil
}

func (s *socket) drain() {
	for s.drainPiece() {
	}
}

// drainPiece writes some of what is kept, and returns false if that is over.
func (s *socket) drainPiece() bool {
	s.mu.Lock()
	piece := s.kept[:min(len(s.kept), drainBytes)]
	s.mu.Unlock()
	_ = s.Conn.SetWriteDeadline(time.Now().Add(s.stall))
	n, err := s.Conn.Write(piece)
	s.mu.Lock()
	s.kept = s.kept[n:]
	if s.err = err; err != nil {
		s.account(len(s.kept))
		s.kept = nil
	}
	over := len(s.kept) == 0
	if over {
		_ = s.Conn.SetWriteDeadline(time.Time{})
		s.draining, s.kept = false, nil
	}
	s.account(n)
	moved := s.moved
	s.mu.Unlock()
	moved()
	return !over
}

func (s *socket) account(written int) {
	s.unread.Add(-int64(written))
	s.inAll.Add(-int64(written))
}

// SetDeadline and SetWriteDeadline leave writes alone, which never wait.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline has no effect.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func (s *socket) onMoved(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = fn
}

func (s *socket) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
