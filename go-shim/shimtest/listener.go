package shimtest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// tracking is a listener that remembers its connections, so that it can cut them.
type tracking struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *tracking) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, conn)
		l.mu.Unlock()
	}
	return conn, err
}

func (l *tracking) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close() // may be closed already
	}
	l.conns = nil
}

// Silent listens and accepts connections but never sends anything, like a stopped process.
func Silent(t testing.TB, socket string) { listen(t, socket, nil) }

// NotHTTP2 is like Silent, but sends something that is not HTTP/2. dialled returns the number of connections so far.
func NotHTTP2(t testing.TB, socket string) (dialled func() int64) {
	t.Helper()
	return listen(t, socket, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
}

func listen(t testing.TB, socket string, greeting []byte) (dialled func() int64) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("fake sidecar: %v", err)
	}
	l := &tracking{Listener: listener}
	t.Cleanup(func() { _ = listener.Close(); l.drop() })
	var accepted atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_, _ = conn.Write(greeting) // the peer may be gone
		}
	}()
	return accepted.Load
}
