package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/h2"
	"hotpath.dev/go-shim/internal/quiet"
)

// echoing dials a server of grpc-go with small windows, which sends back each message.
func echoing(t *testing.T, cfg Config) *Conn {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec.New(nil)), grpc.InitialWindowSize(1<<16), grpc.InitialConnWindowSize(1<<17),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			for {
				var in codec.Raw
				if err := stream.RecvMsg(&in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if string(in.Bytes) == "fail" {
					return status.Error(codes.DataLoss, "told to, 100%")
				}
				if err := stream.SendMsg(&in); err != nil {
					return err
				}
			}
		}))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	raw, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Authority, cfg.PingEvery, cfg.PingTimeout = "localhost", time.Hour, time.Hour
	c := New(quiet.Wrap(raw), cfg)
	t.Cleanup(c.Close)
	return c
}

// Several goroutines flush, both ends have small windows, and messages are longer than they are.
func TestMessagesOfEveryLengthGoThereAndBack(t *testing.T) {
	c := echoing(t, Config{StreamWindow: 1 << 16, ConnWindow: 1 << 17})
	s, stream := open(t, c, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	for range 100 {
		message := make([]byte, r.IntN(1<<r.IntN(19)))
		for i := range message {
			message[i] = byte(r.Uint32())
		}
		want = append(want, message)
		s.send <- message
	}
	var flushing sync.WaitGroup
	for range 4 {
		flushing.Go(func() {
			for range 20 {
				stream.Flush()
			}
		})
	}
	defer flushing.Wait()
	for i, message := range want {
		if got := await(t, s.messages); got != string(message) {
			t.Fatalf("message %d has %d bytes, want %d", i, len(got), len(message))
		}
	}
	s.send <- []byte("fail")
	stream.Flush()
	if err := await(t, s.ended); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "told to, 100%" {
		t.Errorf("got %v", err)
	}
	got, err := c.Unary(t.Context(), "/a.B/C", 1<<20, want[0])
	if err != nil || !bytes.Equal(got, want[0]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	if _, err := c.Unary(ctx, "/a.B/C", 10, []byte("longer than ten")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

// still sends one message again and again, and allocates nothing.
type still struct {
	message []byte
	pending bool
	got     chan struct{}
}

func (s *still) Next() ([]byte, bool, error) {
	if !s.pending {
		return nil, false, nil
	}
	s.pending = false
	return s.message, false, nil
}

func (s *still) Message([]byte) error { s.got <- struct{}{}; return nil }
func (s *still) Ended(error)          {}

func TestMessagesAllocateNothing(t *testing.T) {
	c, p := connect(t, func(cfg *Config) { cfg.StreamWindow = 1000 })
	s := &still{message: make([]byte, 100), got: make(chan struct{}, 1)}
	stream, err := c.Open(Call{Method: "/a.B/C", MaxMessageBytes: 1000, Handler: s})
	if err != nil {
		t.Fatal(err)
	}
	next[*http2.MetaHeadersFrame](p)
	p.respond(1)
	reply := append(h2.Frame{Length: prefixLen + 100, Stream: 1}.Append(nil), prefixed(make([]byte, 100))...)
	request := make([]byte, len(reply))
	update := make([]byte, h2.HeaderLen+4)
	n := 0
	if allocs := testing.AllocsPerRun(200, func() {
		c.mu.Lock()
		s.pending = true
		c.mu.Unlock()
		stream.Flush()
		_, _ = io.ReadFull(p.conn, request)
		_, _ = p.conn.Write(reply)
		<-s.got
		if n++; n%5 == 0 { // the stream's window is half spent
			_, _ = io.ReadFull(p.conn, update)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
