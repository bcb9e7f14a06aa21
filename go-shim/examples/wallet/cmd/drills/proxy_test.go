package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// echoes listens on a socket and returns what it reads.
func echoes(t *testing.T, socket string) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
}

func proxied(t *testing.T) (*proxy, func() net.Conn) {
	t.Helper()
	dir := t.TempDir()
	echoes(t, filepath.Join(dir, "r"))
	p, err := startProxy(filepath.Join(dir, "s"), filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p, func() net.Conn {
		conn, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// echo sends bytes and returns whether they come back within the time.
func echo(t *testing.T, conn net.Conn, text []byte, within time.Duration) bool {
	t.Helper()
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	return read(t, conn, text, within)
}

func read(t *testing.T, conn net.Conn, want []byte, within time.Duration) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	_, err := io.ReadFull(conn, got)
	return err == nil && bytes.Equal(got, want)
}

const soon, long = 50 * time.Millisecond, time.Minute

func TestAProxyHoldsTheFeedOrTheOthers(t *testing.T) {
	p, dial := proxied(t)
	calls, feed := dial(), dial()
	mark := hpack.AppendHuffmanString(nil, feedMethod)
	if !echo(t, calls, []byte("hello"), long) || !echo(t, feed, []byte("hello"), long) {
		t.Fatal("nothing comes back")
	}
	// The mark is found even if it comes in two parts.
	if !echo(t, feed, mark[:5], long) || !echo(t, feed, mark[5:], long) {
		t.Fatal("the mark does not come back")
	}
	p.feedHeld.Store(true)
	if !echo(t, calls, []byte("calls"), long) {
		t.Error("the calls are held")
	}
	if echo(t, feed, []byte("event"), soon) {
		t.Error("the feed is not held")
	}
	p.feedHeld.Store(false)
	if !read(t, feed, []byte("event"), long) {
		t.Error("what was held is lost")
	}
	p.callsHeld.Store(true)
	if !echo(t, feed, []byte("event"), long) {
		t.Error("the feed is held")
	}
	if echo(t, calls, []byte("calls"), soon) {
		t.Error("the calls are not held")
	}
}

func TestAProxyDelaysReplies(t *testing.T) {
	p, dial := proxied(t)
	conn := dial()
	const delay = 120 * time.Millisecond
	p.delay.Store(int64(delay))
	began := time.Now()
	if !echo(t, conn, []byte("late"), long) || time.Since(began) < delay {
		t.Errorf("after %v", time.Since(began))
	}
}

func TestAProxyPassesOnTheEnd(t *testing.T) {
	p, dial := proxied(t)
	conn := dial()
	if !echo(t, conn, []byte("hello"), long) {
		t.Fatal("nothing comes back")
	}
	p.callsHeld.Store(true)
	if _, err := conn.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	p.close()
	if err := conn.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	// Whether that is an end or a reset depends on what has been read.
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("not closed")
	}
}
