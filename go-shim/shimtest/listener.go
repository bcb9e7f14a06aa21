package shimtest

import (
	"net"
	"sync"
	"testing"
)

// tracking remembers its connections, to cut them.
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

// Deaf listens and takes connections but never says a word, like a stopped process.
func Deaf(t testing.TB, socket string) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("deaf sidecar: %v", err)
	}
	l := &tracking{Listener: listener}
	t.Cleanup(func() { _ = listener.Close(); l.drop() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
}
