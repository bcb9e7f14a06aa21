package frontdoor

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// Listen wraps a listener for grpc.Server.Serve. It passes connections on unwrapped: grpc-go would keep a read buffer
// for an idle wrapped connection, and would not set its TCP_USER_TIMEOUT. It counts and watches only connections of the
// system, such as TCP and Unix sockets.
func (d *Door) Listen(inner net.Listener) net.Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners++
	if !d.ticking {
		d.ticking = true
		go d.keepTime()
	}
	return &listener{Listener: inner, door: d}
}

type listener struct {
	net.Listener
	door   *Door
	closed sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.door.admit(conn) {
			return conn, err
		}
		l.door.metrics.connections.Inc()
		l.door.warn.Warn(limitConnections, "a connection was closed at once: the limit of connections is reached", "limit", l.door.limits.Connections)
		_ = conn.Close()
	}
}

func (l *listener) Close() error {
	l.closed.Do(func() {
		l.door.mu.Lock()
		defer l.door.mu.Unlock()
		l.door.listeners--
	})
	return l.Listener.Close()
}

// admit says whether there is room for a connection.
func (d *Door) admit(conn net.Conn) bool {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return true // It is closed already, and grpc-go will see that.
	}
	if d.connections() >= d.limits.Connections {
		d.forgetClosed()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open >= d.limits.Connections {
		return false
	}
	d.open++
	d.callers.Store(conn.RemoteAddr(), &caller{conn: conn, raw: raw, door: d})
	return true
}

// forgetClosed asks each connection whether it has ended, because nothing else tells.
func (d *Door) forgetClosed() {
	d.callers.Range(func(address, value any) bool {
		c := value.(*caller)
		if c.raw.Control(func(uintptr) {}) == nil {
			return true
		}
		if _, known := d.callers.LoadAndDelete(address); known {
			c.forgive()
			d.mu.Lock()
			d.open--
			d.mu.Unlock()
		}
		return true
	})
}

// keepTime sweeps while there is anything to watch.
func (d *Door) keepTime() {
	ticker := time.NewTicker(d.limits.Arrival / ticks)
	defer ticker.Stop()
	for range ticker.C {
		d.sweep()
		d.mu.Lock()
		d.ticking = d.listeners > 0 || d.open > 0
		ended := !d.ticking
		d.mu.Unlock()
		if ended {
			return
		}
	}
}
