package splice

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// tape is a connection that plays the same chunk again and again, with new stream ids, and drops what is written.
type tape struct {
	net.Conn
	chunk  []byte
	ids    []int // where they are in the chunk
	nextID uint32
	wrote  int
}

func (c *tape) Read(p []byte) (int, error) {
	for i := 0; i < len(c.ids); i += 2 {
		binary.BigEndian.PutUint32(c.chunk[c.ids[i]:], c.nextID)
		binary.BigEndian.PutUint32(c.chunk[c.ids[i+1]:], c.nextID)
		c.nextID += 2
	}
	return copy(p, c.chunk), nil
}

func (c *tape) Write(p []byte) (int, error) {
	c.wrote += len(p)
	return len(p), nil
}

// TryWrite makes the socket of it one that writes at once.
func (c *tape) TryWrite(p []byte) (int, error)  { return c.Write(p) }
func (c *tape) SetReadDeadline(time.Time) error { return nil }
func (c *tape) LocalAddr() net.Addr             { return &net.UnixAddr{} }
func (c *tape) RemoteAddr() net.Addr            { return &net.UnixAddr{} }

// echo answers at once, with the request.
type echo struct{}

func (echo) Method(path []byte) int {
	if string(path) == hotMethod {
		return 0
	}
	return -1
}

func (echo) Begin(calls []*Call) {
	for _, call := range calls {
		call.Answer(nil, call.Body, 0, false)
	}
}

func (echo) Cancel(*Call) {}

// newTape returns a warm connection that reads hot calls, so many at a time.
func newTape(t testing.TB, calls int) (*Conn, *tape) {
	var chunk bytes.Buffer
	framer := http2.NewFramer(&chunk, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	c := &tape{nextID: 3}
	field := func() {
		block.Reset()
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", hotMethod}, {":authority", "door"}, {"content-type", "application/grpc"},
			{"user-agent", "grpc-go/1.85.0"}, {"te", "trailers"}, {"grpc-timeout", "999999u"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
	}
	add := func() {
		field()
		c.ids = append(c.ids, chunk.Len()+5)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		c.ids = append(c.ids, chunk.Len()+5)
		_ = framer.WriteData(1, true, message(question(doAnswer, 1, 0, 10)))
	}
	server := NewServer(Config{Hot: echo{}})
	handed, _, err := server.Creds(nil).ServerHandshake(c)
	if err != nil {
		t.Fatal(err)
	}
	conn := handed.(*Conn)
	chunk.WriteString(http2.ClientPreface)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = framer.WriteWindowUpdate(0, 1<<30)
	field() // which fills the header table
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	c.chunk = chunk.Bytes()
	play(t, conn)
	var ack bytes.Buffer
	_ = http2.NewFramer(&ack, nil).WriteSettingsAck()
	if _, err := conn.Write(ack.Bytes()); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10_000)
	conn.core.take(p)
	chunk = bytes.Buffer{}
	for range calls {
		add()
	}
	// The window is filled again with every chunk.
	_ = framer.WriteWindowUpdate(0, 100_000)
	c.chunk = chunk.Bytes()
	return conn, c
}

// play is what Read does, once.
func play(t testing.TB, c *Conn) {
	n, err := c.input.read()
	c.digest(n, err)
	if c.err != nil {
		t.Fatal(c.err)
	}
	if b := c.core.toServer; b != nil && b.left() > 1000 {
		b.b, b.off = b.b[:0], 0 // WINDOW_UPDATEs that nobody takes here
	}
}

func TestWarmHotCallsAllocateNothing(t *testing.T) {
	c, tape := newTape(t, 10)
	for range 20 {
		play(t, c)
	}
	before := tape.wrote
	if n := testing.AllocsPerRun(500, func() { play(t, c) }); n > 0 && !racing {
		t.Errorf("%v allocations for 10 calls", n)
	}
	if wrote := tape.wrote - before; wrote < 501*10*50 {
		t.Errorf("%d bytes for 5010 replies", wrote)
	}
}

// BenchmarkDoor is the door's own part of a call: no socket, and a policy that answers at once.
func BenchmarkDoor(b *testing.B) {
	for _, calls := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d a chunk", calls), func(b *testing.B) {
			c, _ := newTape(b, calls)
			b.ReportAllocs()
			for n := 0; n < b.N; n += calls {
				play(b, c)
			}
		})
	}
}

// BenchmarkCall compares a trivial call of a client on one connection, many at once, with and without a door. It includes
// grpc-go's client, which costs most of it.
func BenchmarkCall(b *testing.B) {
	for _, stock := range []bool{true, false} {
		b.Run(map[bool]string{true: "grpc-go", false: "door"}[stock], func(b *testing.B) {
			r := newRig(b, rigOptions{stock: stock})
			conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(r.client))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			q := question(doAnswer, 1, 0, 10)
			if _, err := invoke(context.Background(), conn, coldMethod, q); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var out wrapperspb.BytesValue
					if err := conn.Invoke(context.Background(), hotMethod, wrapperspb.Bytes(q), &out); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkFrames is the same with a client that writes frames of its own and only counts what it gets, so that the
// servers cost most of it.
func BenchmarkFrames(b *testing.B) {
	const atOnce = 64
	for _, stock := range []bool{true, false} {
		b.Run(map[bool]string{true: "grpc-go", false: "door"}[stock], func(b *testing.B) {
			r := newRig(b, rigOptions{stock: stock})
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			_, tape := newTape(b, atOnce)
			var hello bytes.Buffer
			hello.WriteString(http2.ClientPreface)
			framer := http2.NewFramer(&hello, nil)
			_ = framer.WriteSettings()
			_ = framer.WriteWindowUpdate(0, 1<<30)
			first := newListener(conn)
			_, _ = conn.Write(hello.Bytes())
			for !first.acked && first.next() {
			}
			tape.nextID = 1
			tape.unindexed()
			chunk := make([]byte, len(tape.chunk))
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			read := http2.NewFramer(nil, conn)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += atOnce {
				size, _ := tape.Read(chunk)
				_, _ = conn.Write(chunk[:size])
				for ended := 0; ended < atOnce; {
					f, err := read.ReadFrame()
					if err != nil {
						b.Fatal(err)
					}
					if h, ok := f.(*http2.HeadersFrame); ok && h.StreamEnded() {
						ended++
					}
				}
			}
		})
	}
}

// unindexed writes the calls of the chunk without a header table, for connections that have not seen its first block.
func (c *tape) unindexed() {
	calls := len(c.ids) / 2
	var chunk, block bytes.Buffer
	framer := http2.NewFramer(&chunk, nil)
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", hotMethod}, {":authority", "door"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	c.ids = nil
	for range calls {
		c.ids = append(c.ids, chunk.Len()+5)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()[1:], EndHeaders: true})
		c.ids = append(c.ids, chunk.Len()+5)
		_ = framer.WriteData(1, true, message(question(doAnswer, 1, 0, 10)))
	}
	_ = framer.WriteWindowUpdate(0, 10_000)
	c.chunk = chunk.Bytes()
}

// BenchmarkColdStream sends long messages both ways through grpc-go, with and without a door in between.
func BenchmarkColdStream(b *testing.B) {
	for _, stock := range []bool{true, false} {
		b.Run(map[bool]string{true: "grpc-go", false: "door"}[stock], func(b *testing.B) {
			r := newRig(b, rigOptions{stock: stock})
			conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(r.client))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			s, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamMethod)
			if err != nil {
				b.Fatal(err)
			}
			q := wrapperspb.Bytes(question(doAnswer, 1, 0, 500_000))
			b.SetBytes(1_000_000)
			for b.Loop() {
				if err := s.SendMsg(q); err != nil {
					b.Fatal(err)
				}
				if err := s.RecvMsg(new(wrapperspb.BytesValue)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
