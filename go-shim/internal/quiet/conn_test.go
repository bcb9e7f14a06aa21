//go:build linux && (amd64 || arm64)

package quiet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
)

// pair returns both ends of a connection, neither of them quiet.
func pair(t testing.TB, network string) (one, other net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if one, err = net.Dial(network, listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if other, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	return one, other
}

// outcome is what a caller of a connection can tell.
func outcome(n int, err error) string {
	var errno syscall.Errno
	errors.As(err, &errno)
	var op *net.OpError
	name := ""
	if errors.As(err, &op) {
		name = fmt.Sprint(op.Op, " ", op.Net, " ", op.Source != nil, " ", op.Addr != nil)
	}
	return fmt.Sprintf("%d %v eof=%v closed=%v deadline=%v errno=%v op=%s", n, err == nil, err == io.EOF,
		errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded), errno, name)
}

// asleep waits until a goroutine has had time to sleep in a call. If it has not, the test only checks less.
func asleep() { time.Sleep(5 * time.Millisecond) }

// conversations and interruptions end in an outcome. A connection and its quiet twin must have the same.
func conversations() map[string]func(c, peer net.Conn) string {
	buffer := make([]byte, 100)
	return map[string]func(c, peer net.Conn) string{
		"what is there is read": func(c, peer net.Conn) string {
			_, _ = peer.Write([]byte("hello"))
			n, err := c.Read(buffer)
			return outcome(n, err) + string(buffer[:n])
		},
		"a read waits": func(c, peer net.Conn) string {
			time.AfterFunc(5*time.Millisecond, func() { _, _ = peer.Write([]byte("late")) })
			n, err := c.Read(buffer)
			return outcome(n, err) + string(buffer[:n])
		},
		"nothing is read": func(c, _ net.Conn) string { return outcome(c.Read(nil)) },
		"nothing is read of a closed one": func(c, _ net.Conn) string {
			_ = c.Close()
			return outcome(c.Read(nil))
		},
		"nothing is written": func(c, _ net.Conn) string { return outcome(c.Write(nil)) },
		"the peer closes": func(c, peer net.Conn) string {
			_, _ = peer.Write([]byte("bye"))
			_ = peer.Close()
			return outcome(io.ReadFull(c, buffer[:3])) + outcome(c.Read(buffer)) + outcome(c.Read(buffer))
		},
		"the peer closes half": func(c, peer net.Conn) string {
			_ = peer.(stream).CloseWrite()
			first := outcome(c.Read(buffer)) + outcome(c.Write([]byte("still")))
			return first + outcome(io.ReadFull(peer, buffer[:5]))
		},
		"half is closed here": func(c, peer net.Conn) string {
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			_, _ = peer.Write([]byte("still"))
			return outcome(c.Write([]byte("no"))) + outcome(io.ReadFull(c, buffer[:5])) + outcome(peer.Read(buffer))
		},
	}
}

func interruptions() map[string]func(c, peer net.Conn) string {
	buffer := make([]byte, 100)
	long := make([]byte, 8<<20)
	return map[string]func(c, peer net.Conn) string{
		"the deadline is over": func(c, peer net.Conn) string {
			_, _ = peer.Write([]byte("there"))
			_ = c.SetReadDeadline(time.Now().Add(-time.Second))
			first := outcome(c.Read(buffer))
			_ = c.SetReadDeadline(time.Time{})
			return first + outcome(c.Read(buffer)) + outcome(c.Write([]byte("x")))
		},
		"the deadline ends a read": func(c, _ net.Conn) string {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			return outcome(c.Read(buffer))
		},
		"a deadline in the past wakes a read": func(c, peer net.Conn) string {
			time.AfterFunc(5*time.Millisecond, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
			first := outcome(c.Read(buffer))
			_ = c.SetReadDeadline(time.Time{})
			_, _ = peer.Write([]byte("after"))
			return first + outcome(c.Read(buffer))
		},
		"close ends a read": func(c, _ net.Conn) string {
			time.AfterFunc(5*time.Millisecond, func() { _ = c.Close() })
			return outcome(c.Read(buffer))
		},
		"close ends a write": func(c, _ net.Conn) string {
			time.AfterFunc(20*time.Millisecond, func() { _ = c.Close() })
			n, err := c.Write(long)
			return outcome(min(n, 1), err) + fmt.Sprint(n < len(long))
		},
		"the deadline ends a write": func(c, _ net.Conn) string {
			_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			n, err := c.Write(long)
			return outcome(min(n, 1), err) + fmt.Sprint(n < len(long))
		},
		"all is closed": func(c, _ net.Conn) string {
			_ = c.Close()
			return outcome(c.Read(buffer)) + outcome(c.Write(buffer)) + fmt.Sprint(errors.Is(c.Close(), net.ErrClosed),
				errors.Is(c.SetDeadline(time.Now()), net.ErrClosed))
		},
		"the peer is reset": func(c, peer net.Conn) string {
			if tcp, ok := peer.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_, _ = c.Write([]byte("unread"))
			asleep()
			_ = peer.Close()
			asleep()
			return outcome(c.Read(buffer)) + outcome(c.Write(buffer))
		},
	}
}

func TestQuietConnectionsBehaveAsOthers(t *testing.T) {
	all := conversations()
	maps.Copy(all, interruptions())
	for name, converse := range all {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+"/"+network, func(t *testing.T) {
				plain, peer := pair(t, network)
				want := converse(plain, peer)
				wrapped, peer := pair(t, network)
				quiet := Wrap(wrapped)
				if quiet == wrapped {
					t.Fatal("not wrapped")
				}
				if got := converse(quiet, peer); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}

// Both ends send at once, in pieces of every size, far more than the sockets hold.
func TestAllBytesArriveInOrder(t *testing.T) {
	const total = 4 << 20
	for _, network := range []string{"tcp", "unix"} {
		a, b := pair(t, network)
		ends := []net.Conn{Wrap(a), Wrap(b)}
		data := make([]byte, total)
		rand.NewChaCha8([32]byte{1}).Read(data)
		var running sync.WaitGroup
		for i, end := range ends {
			running.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for rest := data; len(rest) > 0; {
					n := min(len(rest), 1+r.IntN(1<<r.IntN(20)))
					if wrote, err := end.Write(rest[:n]); wrote != n || err != nil {
						t.Errorf("%d of %d, %v", wrote, n, err)
						return
					}
					rest = rest[n:]
				}
			})
			running.Go(func() {
				got := make([]byte, total)
				if n, err := io.ReadFull(end, got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", network, n, err)
				}
			})
		}
		running.Wait()
	}
}

func TestTryWriteDoesNotWait(t *testing.T) {
	a, peer := pair(t, "unix")
	c := Wrap(a).(TryWriter)
	data := make([]byte, 8<<20)
	n, err := c.TryWrite(data)
	if n == 0 || n == len(data) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if again, err := c.TryWrite(data); again != 0 || err != nil {
		t.Errorf("%d, %v", again, err)
	}
	if _, err := io.ReadFull(peer, data[:n]); err != nil {
		t.Fatal(err)
	}
	if again, err := c.TryWrite(data); again == 0 || err != nil {
		t.Errorf("with room: %d, %v", again, err)
	}
	_ = a.Close()
	if n, err := c.TryWrite(data); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %d, %v", n, err)
	}
}

// pool counts the buffers that are out.
type pool struct {
	mem.BufferPool
	sync.Mutex
	out int
}

func (p *pool) Get(n int) *[]byte {
	p.Lock()
	defer p.Unlock()
	p.out++
	return p.BufferPool.Get(n)
}

func (p *pool) Put(b *[]byte) {
	p.Lock()
	defer p.Unlock()
	p.out--
	p.BufferPool.Put(b)
}

func (p *pool) outside() int {
	p.Lock()
	defer p.Unlock()
	return p.out
}

func TestReadOnReadyHoldsNoBufferWhileItWaits(t *testing.T) {
	a, peer := pair(t, "tcp")
	c := Wrap(a).(interface {
		ReadOnReady(int, mem.BufferPool) (*[]byte, int, error)
	})
	p := &pool{BufferPool: mem.DefaultBufferPool()}
	done := make(chan string)
	go func() {
		buffer, n, err := c.ReadOnReady(1000, p)
		done <- fmt.Sprint(string((*buffer)[:n]), err)
		p.Put(buffer)
		buffer, n, err = c.ReadOnReady(1000, p)
		done <- fmt.Sprint(buffer == nil, n, err)
	}()
	asleep()
	if n := p.outside(); n != 0 {
		t.Errorf("%d buffers are out", n)
	}
	_, _ = peer.Write([]byte("bytes"))
	if got := <-done; got != "bytes<nil>" {
		t.Errorf("got %s", got)
	}
	_ = peer.Close()
	if got := <-done; got != "true 0 EOF" {
		t.Errorf("got %s", got)
	}
	if n := p.outside(); n != 0 {
		t.Errorf("%d buffers are out", n)
	}
}

func TestOnlyStreamsOfTheSystemAreWrapped(t *testing.T) {
	one, other := net.Pipe()
	defer func() { _, _ = one.Close(), other.Close() }()
	if Wrap(one) != one {
		t.Error("a pipe is wrapped")
	}
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "d"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	if net.Conn(datagrams) != Wrap(datagrams) {
		t.Error("datagrams are wrapped")
	}
	a, _ := pair(t, "tcp")
	c := Wrap(a)
	if Wrap(c) != c {
		t.Error("wrapped twice")
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil || raw.Control(func(uintptr) {}) != nil || c.(interface{ NetConn() net.Conn }).NetConn() != a {
		t.Errorf("%v", err)
	}
}

func TestReadsAndWritesAllocateNothing(t *testing.T) {
	a, b := pair(t, "unix")
	c, peer := Wrap(a), Wrap(b)
	buffer := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = c.Write(buffer)
		_, _ = c.(TryWriter).TryWrite(buffer)
		_, _ = io.ReadFull(peer, buffer)
		_, _ = io.ReadFull(peer, buffer)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
