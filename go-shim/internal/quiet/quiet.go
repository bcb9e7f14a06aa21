// Package quiet reads and writes sockets without telling Go's scheduler.
//
// Go tells its runtime of each system call, because the call may block: the runtime then hands the caller's processor to
// another thread and wakes its monitor. Reads and writes of a socket that Go polls never block. They are over in a few
// microseconds, and telling the runtime costs more than that at low rates.
//
//	Read ──> receive, at once ──> bytes, EOF or an error
//	            │ ^
//	    EAGAIN  │ │ the socket has bytes
//	            v │
//	          the runtime's poller: the goroutine sleeps, until the deadline or Close at the latest
//
// Write is the same in the other direction.
package quiet

import "net"

// TryWriter writes without waiting.
type TryWriter interface {
	// TryWrite writes as much as there is room for, which may be nothing.
	TryWrite(p []byte) (int, error)
}

// Wrap returns a connection that behaves like conn, quietly. It is also a TryWriter, a syscall.Conn and, for a reader
// of grpc-go that wants no buffer while it waits, an internal/transport/readyreader.Reader. Whatever is no TCP or Unix
// stream of the system, and everything on systems other than Linux, comes back as it is.
func Wrap(conn net.Conn) net.Conn { return wrap(conn) }
