package lane

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/unary"
	"hotpath.dev/go-shim/internal/wire"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// BenchmarkCall measures one request over a Unix socket to a peer in this process that sends the body back, by lanes
// and by unary calls, over 2 connections. The time includes the peer's. Both peers are grpc-go, and as lean as it
// allows. On a busy machine cpu-ns/op, which counts both sides, tells more than the time.
func BenchmarkCall(b *testing.B) {
	for _, inFlight := range []int{1, 8, 64, 256} {
		for _, hop := range []string{"batched", "unary"} {
			b.Run(fmt.Sprintf("hop=%s/inflight=%d", hop, inFlight), func(b *testing.B) {
				peer := shimtest.NewPeer(b, echoLane, echoUnary)
				to := transport.Peer{Conns: []grpc.ClientConnInterface{peer.Connect(b), peer.Connect(b)},
					Lanes: []wire.Opener{connect(b, peer), connect(b, peer)}, MaxMessageBytes: 1 << 20, Methods: []transport.Name{transport.NameOf(3)}}
				var over transport.Transport = unary.New(to)
				watch := &watched{}
				if hop == "batched" {
					over = New(Config{Peer: to, Large: over, Observer: watch, Log: slog.New(slog.DiscardHandler)})
				}
				defer over.Close()
				call(b, over, inFlight)
				if batches := watch.batches.Load(); batches > 0 {
					b.ReportMetric(float64(watch.sent.Load())/float64(batches), "requests/batch")
				}
			})
		}
	}
}

func call(b *testing.B, over transport.Transport, inFlight int) {
	ask := func(ctx context.Context) error {
		request := &transport.Request{Method: "/a/b", Budget: 10 * time.Second, Body: make([]byte, 20)}
		_, err := over.Call(ctx, request)
		return err
	}
	if err := poll(func() error { return ask(b.Context()) }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := shimtest.ProcessTime(b)
	var callers sync.WaitGroup
	for i := range inFlight {
		callers.Go(func() {
			// Each request has a context of its own, as in a service.
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			for range (b.N + i) / inFlight {
				if err := ask(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(shimtest.ProcessTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkPost is BenchmarkCall for requests that are posted in batches, each by one Flush.
func BenchmarkPost(b *testing.B) {
	for _, batch := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			peer := shimtest.NewPeer(b, echoLane, echoUnary)
			to := transport.Peer{Lanes: []wire.Opener{connect(b, peer)}, Methods: []transport.Name{transport.NameOf(3)}}
			over := New(Config{Peer: to, Large: &large{}, Observer: &watched{}, Log: slog.New(slog.DiscardHandler)})
			defer over.Close()
			request := &transport.Request{Budget: 10 * time.Second, Body: make([]byte, 20)}
			if err := poll(func() error { _, err := over.Call(b.Context(), request); return err }); err != nil {
				b.Fatal(err)
			}
			outcomes := make(chan struct{}, batch)
			receiver := receiverFunc(func(*Outcome) { outcomes <- struct{}{} })
			b.ReportAllocs()
			b.ResetTimer()
			before := shimtest.ProcessTime(b)
			for range max(b.N/batch, 1) {
				for range batch {
					if _, err := over.Post(request, receiver); err != nil {
						b.Fatal(err)
					}
				}
				over.Flush()
				for range batch {
					<-outcomes
				}
			}
			b.ReportMetric(float64(shimtest.ProcessTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// poll tries until a lane is open.
func poll(ask func() error) error {
	for end := time.Now().Add(longEnough); ; time.Sleep(time.Millisecond) {
		if err := ask(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func echoUnary(_ any, stream grpc.ServerStream) error {
	var in codec.Raw
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	if err := stream.SetHeader(metadata.Pairs(position.Key, "7")); err != nil {
		return err
	}
	return stream.SendMsg(&in)
}

func echoLane(_ any, stream grpc.ServerStream) error {
	var pool pooled
	for {
		var in codec.Shared
		if err := stream.RecvMsg(&in); err != nil {
			return nil
		}
		out := pool.get()
		*out = echoed(in.Buffer.ReadOnlyData(), *out)
		in.Buffer.Free()
		if err := stream.SendMsg(&codec.Shared{Buffer: mem.NewBuffer(out, &pool)}); err != nil {
			return nil
		}
	}
}

// pooled is a mem.BufferPool of buffers above grpc-go's threshold for pooling.
type pooled struct{ pool sync.Pool }

func (p *pooled) get() *[]byte {
	if buffer, ok := p.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, 8<<10)
	return &buffer
}

func (p *pooled) Get(length int) *[]byte {
	buffer := make([]byte, length)
	return &buffer
}

func (p *pooled) Put(buffer *[]byte) {
	*buffer = (*buffer)[:0]
	p.pool.Put(buffer)
}

// echoed answers each request of a message with its own body.
func echoed(message, out []byte) []byte {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		message = message[n:]
		if number != 1 {
			message = message[protowire.ConsumeFieldValue(number, kind, message):]
			continue
		}
		frame, n := protowire.ConsumeBytes(message)
		message = message[n:]
		id := binary.LittleEndian.Uint64(frame[1:])
		var body []byte
		for len(frame) > 0 {
			number, kind, n := protowire.ConsumeTag(frame)
			if number == 6 {
				body, _ = protowire.ConsumeBytes(frame[n:])
			}
			frame = frame[n+protowire.ConsumeFieldValue(number, kind, frame[n:]):]
		}
		out = protowire.AppendVarint(append(out, 1<<3|2), uint64(9+2+sizeBytes(len(body))))
		out = binary.LittleEndian.AppendUint64(append(out, tagID), id)
		out = appendBytes(append(out, 2<<3, 7), tagBody, body)
	}
	return out
}

// BenchmarkSlot measures the table alone: it takes a slot and answers it.
func BenchmarkSlot(b *testing.B) {
	s, w := newSlab(maxInFlight), &waiter{}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.answer(s.take(w, nil, 1)); !ok {
			b.Fatal("lost")
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	request := &transport.Request{Body: make([]byte, 20), Budget: 100 * time.Millisecond, Bounds: transport.Bounds{Min: 1 << 30}}
	message := make([]byte, 0, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		f := newFrame(request, 3)
		f.id = 1 << 32
		message = f.append(message[:0], f.size())
	}
}

// BenchmarkParse parses a message of 32 replies.
func BenchmarkParse(b *testing.B) {
	var message []byte
	for range 32 {
		message = protowire.AppendVarint(append(message, 1<<3|2), 9+2+22)
		message = binary.LittleEndian.AppendUint64(append(message, tagID), 1<<32)
		message = appendBytes(append(message, 2<<3, 7), tagBody, make([]byte, 20))
	}
	var replies []reply
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if replies, err = parseReplies(message, replies[:0]); err != nil || len(replies) != 32 {
			b.Fatal(err)
		}
	}
}
