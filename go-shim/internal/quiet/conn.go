//go:build linux && (amd64 || arm64)

package quiet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"google.golang.org/grpc/mem"
)

// mostBytes bounds one system call, because the runtime can't stop its goroutine meanwhile.
const mostBytes = 64 << 10

// stream is what *net.TCPConn and *net.UnixConn have in common.
type stream interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

// conn takes all but reads and writes from the connection that it wraps.
type conn struct {
	stream
	raw syscall.RawConn

	reading reading
	writing writing
}

// reading is the Read that is under way. onReady is made once, so that a read allocates nothing.
type reading struct {
	sync.Mutex
	onReady func(fd uintptr) bool
	p       []byte
	// pool gives p when there is something to read, if it is not nil.
	pool   mem.BufferPool
	length int
	pooled *[]byte
	n      int
	err    error
}

type writing struct {
	sync.Mutex
	onReady func(fd uintptr) bool
	p       []byte
	n       int
	err     error
	// try is true if the write must not wait.
	try bool
}

func wrap(inner net.Conn) net.Conn {
	switch inner.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return inner
	}
	if name := inner.LocalAddr().Network(); name != "tcp" && name != "unix" {
		return inner // datagrams, which may be empty
	}
	c := &conn{stream: inner.(stream)}
	var err error
	if c.raw, err = c.SyscallConn(); err != nil {
		return inner
	}
	c.reading.onReady, c.writing.onReady = c.reading.ready, c.writing.ready
	return c
}

// NetConn returns the connection that is wrapped, for its other methods.
func (c *conn) NetConn() net.Conn { return c.stream }

func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.stream.Read(p)
	}
	r := &c.reading
	r.Lock()
	defer r.Unlock()
	r.p = p[:min(len(p), mostBytes)]
	n, err := c.receive()
	r.p = nil
	return n, err
}

// ReadOnReady is what grpc-go calls if it wants no buffer for a connection that is idle.
func (c *conn) ReadOnReady(length int, pool mem.BufferPool) (*[]byte, int, error) {
	r := &c.reading
	r.Lock()
	defer r.Unlock()
	r.pool, r.length = pool, length
	n, err := c.receive()
	buffer := r.pooled
	r.pool, r.pooled, r.p = nil, nil, nil
	if err != nil && buffer != nil {
		pool.Put(buffer)
		buffer = nil
	}
	return buffer, n, err
}

// receive needs the lock.
func (c *conn) receive() (int, error) {
	r := &c.reading
	r.n, r.err = 0, nil
	if err := c.raw.Read(r.onReady); err != nil {
		return 0, renamed("read", err)
	}
	switch {
	case r.err != nil:
		return 0, c.failed("read", r.err)
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// ready returns true if the read is over.
func (r *reading) ready(fd uintptr) bool {
	if r.pool != nil {
		r.pooled = r.pool.Get(r.length)
		r.p = (*r.pooled)[:min(r.length, mostBytes)]
	}
	r.n, r.err = receive(fd, r.p)
	for r.err == syscall.EINTR {
		r.n, r.err = receive(fd, r.p)
	}
	if r.err != syscall.EAGAIN {
		return true
	}
	if r.pool != nil {
		r.pool.Put(r.pooled)
		r.pooled = nil
	}
	r.err = nil
	return false
}

func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return c.stream.Write(p)
	}
	return c.send(p, false)
}

// TryWrite implements TryWriter.
func (c *conn) TryWrite(p []byte) (int, error) { return c.send(p, true) }

func (c *conn) send(p []byte, try bool) (int, error) {
	w := &c.writing
	w.Lock()
	defer w.Unlock()
	w.p, w.n, w.err, w.try = p, 0, nil, try
	err := c.raw.Write(w.onReady)
	w.p = nil
	switch {
	case err != nil:
		return w.n, renamed("write", err)
	case w.err != nil:
		return w.n, c.failed("write", w.err)
	}
	return w.n, nil
}

// ready returns true if the write is over.
func (w *writing) ready(fd uintptr) bool {
	for w.n < len(w.p) {
		n, err := send(fd, w.p[w.n:min(len(w.p), w.n+mostBytes)])
		w.n += n
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return w.try
		case err != nil:
			w.err = err
			return true
		}
	}
	return true
}

// failed words an error of a system call as package net does.
func (c *conn) failed(name string, err error) error {
	return &net.OpError{Op: name, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(),
		Err: os.NewSyscallError(name, err)}
}

// renamed gives an error of RawConn, which is new each time, the name of the operation that it is part of.
func renamed(name string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op = name
	}
	return err
}
