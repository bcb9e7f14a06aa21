package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/backoff"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
)

const (
	// steady is how long a stream must have lasted for the next one to open quickly.
	steady = 5 * time.Second
	// gatherAtMost bounds how long the writer waits for more requests.
	gatherAtMost = 50 * time.Microsecond
)

// run keeps the lane open until ctx ends.
func (l *lane) run(ctx context.Context) {
	defer func() {
		l.lapsing.Lock()
		defer l.lapsing.Unlock()
		l.timer.Stop()
	}()
	pause := backoff.Backoff{Min: 20 * time.Millisecond, Max: 250 * time.Millisecond}
	for {
		began := time.Now()
		err := l.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		l.quiet.Warn("lane", "a lane to the sidecar was lost; what was in flight is answered locally", "cause", err)
		if time.Since(began) > steady {
			pause.Reset()
		}
		if backoff.Sleep(ctx, pause.Next()) != nil {
			return
		}
	}
}

// stream opens a stream and returns when the stream is over.
func (l *lane) stream(ctx context.Context) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	desc := &grpc.StreamDesc{StreamName: "Exchange", ClientStreams: true, ServerStreams: true}
	stream, err := l.conn.NewStream(within, desc, hotpathv1.ExchangeService_Exchange_FullMethodName,
		grpc.MaxCallSendMsgSize(maxMessageBytes), grpc.MaxCallRecvMsgSize(maxMessageBytes))
	if err != nil {
		l.cfg.Observer.Failed(Ended)
		return err
	}
	l.up(cancel)
	l.cfg.Observer.Opened()
	defer l.cfg.Observer.Closed()
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := l.write(within, stream); err != nil {
			cancel(err)
		}
	}()
	end := l.read(stream)
	// If the shim itself ended the stream, the reader saw only that it ended.
	if own := (*failure)(nil); errors.As(context.Cause(within), &own) {
		end = own
	}
	l.down(end)
	cancel(nil)
	<-written
	// Closing a lane is no failure.
	if f := (*failure)(nil); ctx.Err() == nil && errors.As(end, &f) {
		l.cfg.Observer.Failed(f.reason)
	}
	return end
}

// write sends what is queued until the stream ends. Its error, if any, is why the stream has to end.
func (l *lane) write(ctx context.Context, stream grpc.ClientStream) (err error) {
	defer endLane(&err)
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
		l.gather()
		message, requests := l.drain()
		if message == nil {
			continue
		}
		l.cfg.Observer.Sent(requests)
		if err := stream.SendMsg(&codec.Shared{Buffer: mem.NewBuffer(message, &l.buffers)}); err != nil {
			if errors.Is(err, io.EOF) {
				// The reader learns why.
				<-ctx.Done()
				return nil
			}
			return &failure{Ended, err}
		}
	}
}

// gather yields, so that other goroutines can add their requests: once, and again as long as that brings more. Without
// it each message holds one request, at 3.5 times the CPU with 64 in flight (BenchmarkCall). A timer would be too
// coarse. If only one request is in flight, nobody can add another, and it leaves at once.
func (l *lane) gather() {
	queued, inFlight := l.pressure()
	if inFlight <= 1 {
		return
	}
	for began := time.Now(); ; {
		runtime.Gosched()
		before := queued
		if queued, _ = l.pressure(); queued <= before || time.Since(began) > gatherAtMost {
			return
		}
	}
}

// read hands out replies until the stream ends or breaks a rule.
func (l *lane) read(stream grpc.ClientStream) (err error) {
	defer endLane(&err)
	for {
		var message codec.Shared
		if err := stream.RecvMsg(&message); err != nil {
			return asFailure(err)
		}
		err := l.deliver(message.Buffer.ReadOnlyData())
		message.Buffer.Free()
		if err != nil {
			return err
		}
	}
}

func asFailure(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return broken(Ended, "the sidecar ended the stream")
	case status.Code(err) == codes.ResourceExhausted:
		return &failure{Limit, err}
	case status.Code(err) == codes.InvalidArgument:
		return &failure{Refused, err}
	default:
		return &failure{Ended, err}
	}
}

// endLane must be deferred. It makes a panic cost the lane, not the process.
func endLane(err *error) {
	if cause := recover(); cause != nil {
		*err = &failure{Panicked, fmt.Errorf("%v\n%s", cause, debug.Stack())}
	}
}
