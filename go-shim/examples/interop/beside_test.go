package interop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/interop/grpc_testing"

	shim "hotpath.dev/go-shim"
)

// stream is a cold stream of messages of many lengths.
type stream struct {
	sizes []int32
	bytes int64
}

func newStream(bytes int64) *stream {
	s := &stream{}
	for i := int64(0); s.bytes < bytes; i++ {
		size := 1 + i*7919%(128<<10)
		s.sizes = append(s.sizes, int32(size))
		s.bytes += size
	}
	return s
}

// read reads the whole stream, and calls between after each message.
func (s *stream) read(ctx context.Context, client grpc_testing.TestServiceClient, between func() error) error {
	request := &grpc_testing.StreamingOutputCallRequest{}
	for _, size := range s.sizes {
		request.ResponseParameters = append(request.ResponseParameters, &grpc_testing.ResponseParameters{Size: size})
	}
	replies, err := client.StreamingOutputCall(ctx, request)
	if err != nil {
		return err
	}
	for i, size := range s.sizes {
		reply, err := replies.Recv()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if body := reply.GetPayload().GetBody(); len(body) != int(size) || len(bytes.Trim(body, "\x00")) > 0 {
			return fmt.Errorf("message %d has %d bytes, not %d zeros", i, len(body), size)
		}
		if err := between(); err != nil {
			return err
		}
	}
	if _, err := replies.Recv(); err != io.EOF {
		return fmt.Errorf("the stream ended with %w", err)
	}
	return nil
}

var errWrongReply = errors.New("the reply has another length than was asked for")

// askFor makes a hot call.
func askFor(ctx context.Context, client grpc_testing.TestServiceClient, size int32) error {
	reply, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: size})
	if err == nil && len(reply.GetPayload().GetBody()) != int(size) {
		err = errWrongReply
	}
	return err
}

var doorsBySide = map[string]func(*shim.Config){"stock": func(*shim.Config) {}, "spliced": spliced}

// TestAStreamAndHotCallsOnOneConnection reads a stream only as fast as hot calls are answered beside it, and the other way
// round: neither may starve the other, and every byte must be right.
func TestAStreamAndHotCallsOnOneConnection(t *testing.T) {
	for name, change := range doorsBySide {
		t.Run(name, func(t *testing.T) {
			r := start(t, change)
			client := grpc_testing.NewTestServiceClient(r.conn)
			ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
			defer cancel()
			const callers = 4
			answered := make(chan struct{})
			var callersDone sync.WaitGroup
			var over atomic.Bool
			for caller := range callers {
				callersDone.Go(func() {
					for i := caller; !over.Load(); i += callers {
						if err := askFor(ctx, client, int32(i*37%2_000)); err != nil && !over.Load() {
							t.Errorf("call %d: %v", i, err)
							cancel()
							return
						}
						select {
						case answered <- struct{}{}:
						case <-ctx.Done():
							return
						}
					}
				})
			}
			await := func() error {
				for range callers {
					select {
					case <-answered:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				return nil
			}
			if err := newStream(8<<20).read(ctx, client, await); err != nil {
				t.Error(err)
			}
			over.Store(true)
			cancel()
			callersDone.Wait()
		})
	}
}

const (
	measured     = 4 * time.Second
	hotPerSecond = 1_000
	streamBytes  = 100 << 20
)

// BenchmarkAStreamBesideHotCalls measures both doors: hot calls alone, the stream alone, and both on one connection. All is
// in one process, but for the sidecar.
//
//	go test ./interop -run '^$' -bench BesideHotCalls -benchtime 3x
func BenchmarkAStreamBesideHotCalls(b *testing.B) {
	for _, name := range []string{"stock", "spliced"} {
		b.Run(name, func(b *testing.B) {
			r := start(b, doorsBySide[name])
			client := grpc_testing.NewTestServiceClient(r.conn)
			var alone, beside, free, shared []float64
			for b.Loop() {
				alone = append(alone, p99(b, client))
				free = append(free, throughput(b, client, func() { time.Sleep(measured) }))
				shared = append(shared, throughput(b, client, func() { beside = append(beside, p99(b, client)) }))
			}
			b.ReportMetric(median(alone), "p99-µs-alone")
			b.ReportMetric(median(beside), "p99-µs-beside")
			b.ReportMetric(median(beside)/median(alone), "p99-ratio")
			b.ReportMetric(median(free), "MB/s-alone")
			b.ReportMetric(median(shared)/median(free), "stream-ratio")
			b.ReportMetric(0, "ns/op") // says nothing here
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// p99 makes hot calls at even gaps, and returns the 99th percentile of their latencies from when each was due, in µs.
func p99(b *testing.B, client grpc_testing.TestServiceClient) float64 {
	const calls = int(hotPerSecond * measured / time.Second)
	took := make([]float64, calls)
	var all sync.WaitGroup
	began := time.Now()
	for i := range calls {
		due := began.Add(time.Duration(i) * time.Second / hotPerSecond)
		time.Sleep(time.Until(due))
		all.Go(func() {
			if err := askFor(b.Context(), client, 100); err != nil {
				b.Error(err)
			}
			took[i] = float64(time.Since(due).Microseconds())
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[calls*99/100]
}

// throughput reads streams one after the other while meanwhile runs, and returns megabytes a second.
func throughput(b *testing.B, client grpc_testing.TestServiceClient, meanwhile func()) float64 {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	s, read := newStream(streamBytes), atomic.Int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			at := 0
			err := s.read(ctx, client, func() error {
				read.Add(int64(s.sizes[at]))
				at++
				return nil
			})
			if err != nil && ctx.Err() == nil {
				b.Error(err)
				return
			}
		}
	}()
	began := time.Now()
	meanwhile()
	bytes, took := read.Load(), time.Since(began)
	cancel()
	<-done
	return float64(bytes) / (1 << 20) / took.Seconds()
}
