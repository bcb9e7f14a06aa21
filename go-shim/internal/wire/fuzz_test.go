package wire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// played is a connection whose peer says what was recorded, in fragments, and takes everything.
type played struct {
	net.Conn
	rest     []byte
	fragment int
	begin    chan struct{}
}

func (p *played) Read(b []byte) (int, error) {
	<-p.begin
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.fragment)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *played) Write(b []byte) (int, error)     { return len(b), nil }
func (p *played) TryWrite(b []byte) (int, error)  { return len(b), nil }
func (p *played) Close() error                    { return nil }
func (p *played) SetReadDeadline(time.Time) error { return nil }

// story is what the user of two streams is told while the peer says this.
func story(t *testing.T, said []byte, fragment int) string {
	conn := &played{rest: said, fragment: fragment, begin: make(chan struct{})}
	c := New(conn, Config{StreamWindow: 1000, ConnWindow: 70_000, PingEvery: time.Hour, PingTimeout: time.Hour})
	var streams []*scripted
	for range 2 {
		s := newScripted()
		s.messages = make(chan string, 1<<16)
		s.send <- make([]byte, 100)
		if _, err := c.Open(Call{Method: "/a.B/C", MaxMessageBytes: 500, Handler: s}); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	close(conn.begin)
	c.running.Wait()
	var told []string
	for _, s := range streams {
		close(s.messages)
		for message := range s.messages {
			told = append(told, fmt.Sprintf("%q", message))
		}
		if len(s.ended) != 1 {
			t.Fatalf("ended %d times", len(s.ended))
		}
		told = append(told, fmt.Sprint(<-s.ended))
	}
	if len(c.streams) != 0 {
		t.Errorf("%d streams are left", len(c.streams))
	}
	return fmt.Sprint(told)
}

// FuzzPeer lets a peer say anything. It must end each stream once, and in the same way however its bytes are cut.
func FuzzPeer(f *testing.F) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	head := func(pairs ...string) []byte {
		block.Reset()
		for i := 0; i < len(pairs); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return slices.Clone(block.Bytes())
	}
	write := func(write ...func(*http2.Framer) error) {
		var said bytes.Buffer
		framer := http2.NewFramer(&said, nil)
		for _, w := range write {
			if err := w(framer); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(said.Bytes())
	}
	settings := func(w *http2.Framer) error {
		return w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50})
	}
	respond := func(w *http2.Framer) error {
		return w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":status", "200", "content-type", "application/grpc"),
			EndHeaders: true, PadLength: 3})
	}
	write(settings, respond, func(w *http2.Framer) error { return w.WriteData(1, false, prefixed([]byte("hello"))) },
		func(w *http2.Framer) error {
			block := head("grpc-status", "5", "grpc-message", "no")
			if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:2], EndStream: true}); err != nil {
				return err
			}
			return w.WriteContinuation(1, true, block[2:])
		}, func(w *http2.Framer) error { return w.WriteRSTStream(3, http2.ErrCodeCancel) })
	write(settings, func(w *http2.Framer) error { return w.WriteWindowUpdate(1, 500) },
		func(w *http2.Framer) error { return w.WritePing(false, [8]byte{1}) },
		func(w *http2.Framer) error { return w.WriteGoAway(1, http2.ErrCodeNo, nil) },
		func(w *http2.Framer) error { return w.WriteData(1, true, make([]byte, 600)) })
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 1<<16 {
			return
		}
		whole := story(t, said, 1<<16)
		if pieces := story(t, said, 1); pieces != whole {
			t.Errorf("in pieces %s\nwhole     %s", pieces, whole)
		}
	})
}
