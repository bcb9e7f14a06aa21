package lane

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/backoff"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/wire"
)

const (
	// steady is how long a stream must have lasted for the next one to open quickly.
	steady = 5 * time.Second
	// gatherAtMost bounds how long a caller waits for more requests before it sends.
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
		err := l.once(ctx)
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

// once opens a stream and returns when the stream is over.
func (l *lane) once(ctx context.Context) error {
	e := &exchange{lane: l, ended: make(chan error, 1)}
	stream, err := l.conn.Open(wire.Call{Method: hotpathv1.ExchangeService_Exchange_FullMethodName,
		MaxMessageBytes: maxMessageBytes, Handler: e})
	if err != nil {
		l.cfg.Observer.Failed(Ended)
		return err
	}
	l.up(stream)
	l.cfg.Observer.Opened()
	defer l.cfg.Observer.Closed()
	var end error
	select {
	case end = <-e.ended:
	case <-ctx.Done():
		stream.Cancel(ctx.Err())
		end = <-e.ended
	}
	end = asFailure(end)
	l.down(end)
	// Closing a lane is no failure.
	if f := (*failure)(nil); ctx.Err() == nil && errors.As(end, &f) {
		l.cfg.Observer.Failed(f.reason)
	}
	return end
}

// exchange is the wire.Handler of one stream.
type exchange struct {
	lane  *lane
	ended chan error
}

// Next implements wire.Handler.
func (e *exchange) Next() (message []byte, last bool, err error) {
	defer endLane(&err)
	message, requests := e.lane.drain()
	if message != nil {
		e.lane.cfg.Observer.Sent(requests)
	}
	return message, false, nil
}

// Message implements wire.Handler.
func (e *exchange) Message(message []byte) (err error) {
	defer endLane(&err)
	return e.lane.deliver(message)
}

// Ended implements wire.Handler.
func (e *exchange) Ended(err error) { e.ended <- err }

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

// asFailure says why a stream is over that ended with err.
func asFailure(err error) error {
	own := (*failure)(nil)
	switch {
	case errors.As(err, &own):
		return own
	case err == nil:
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
