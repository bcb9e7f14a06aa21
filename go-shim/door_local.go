package shim

import (
	"bytes"
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/splice"
	"hotpath.dev/go-shim/internal/workers"
)

// With SplicedDoor.Local, what the door leaves to the service is not handed to grpc-go. A worker does what grpc-go would:
// it calls the handler that the shim has registered, with the same context, and gives the door what comes back. So the
// handler decides as behind the stock door, and this file decides nothing.
//
//	door: toService ──> worker: begin ──> guarded.handle (or afterHop, with a note) ──> end ──> splice.Call.Reply
//	                                               │
//	                        interceptors, policy, the service's own handler

const (
	// mostLocal bounds the local handlers that run, or wait for a worker, at once. Beyond, grpc-go gets the calls.
	mostLocal = 4096
	// idleWorkers is as many as frontdoor.StreamWorkers.
	idleWorkers = 128
	// holdReplies is how long replies may wait for further ones.
	holdReplies = 50 * time.Microsecond
	// closeWait is how long Close waits for handlers.
	closeWait = 5 * time.Second
)

// servant is what grpc-go needs to have a method served. The door learns it from the first request that grpc-go serves.
type servant struct {
	*guarded
	service     any
	interceptor grpc.UnaryServerInterceptor
	// took is how long a handler takes, on average, in nanoseconds.
	took atomic.Int64
}

// newWorkers returns nil if local handlers are grpc-go's.
func (d *door) newWorkers() *workers.Pool {
	if !d.side.cfg.Spliced.Local {
		return nil
	}
	return workers.New(workers.Config{
		Most: mostLocal, Idle: idleWorkers, Hold: holdReplies, Flush: d.splice.FlushDirty, Unsent: d.splice.Dirty,
	})
}

// close waits for handlers whose callers may have left, which grpc-go's server does not wait for. Later calls are grpc-go's.
func (d *door) close() {
	if d.workers != nil && !d.workers.Close(closeWait) {
		d.side.log.Warn("local handlers still run, although nobody waits for their answers", "after", closeWait)
	}
}

// meet learns how grpc-go has a method served.
func (d *door) meet(g *guarded, service any, interceptor grpc.UnaryServerInterceptor) {
	if d.workers != nil && d.servants[g.index].Load() == nil {
		d.servants[g.index].CompareAndSwap(nil, &servant{guarded: g, service: service, interceptor: interceptor})
	}
}

// learnsLocally says whether a request that nobody forwards may show the codec.
func (d *door) learnsLocally() bool {
	return d != nil && d.workers != nil && d.state.Load() == doorUnknown
}

// locally has a worker answer the call. It returns nil if grpc-go has to.
func (d *door) locally(call *splice.Call, n note) *localCall {
	if d.workers == nil || d.state.Load() != doorOpen || d.several.Load() {
		return nil
	}
	s := d.servants[call.Head.Method].Load()
	limit := d.side.cfg.Spliced.MaxRecvMsgSize
	switch {
	case s == nil, limit > 0 && len(call.Body) > limit, // grpc-go says that it is too long
		call.Head.HasTimeout && call.Head.Timeout <= time.Since(call.Arrived): // or that it is too late
		return nil
	}
	c := &localCall{servant: s, note: n, call: call}
	if !d.workers.Do(c) {
		return nil
	}
	return c
}

// localCall is a call that a worker answers. It is also the stream that the handler finds in its context.
type localCall struct {
	*servant
	note   note
	body   []byte
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer

	mu   sync.Mutex
	call *splice.Call // nil once it is answered, or nobody waits for an answer
	set  outgoing
	sent bool // the handler has sent its headers
}

// Expect implements workers.Job.
func (c *localCall) Expect() time.Duration { return time.Duration(c.took.Load()) }

// Run implements workers.Job. A panic of the handler ends the process, as behind grpc-go.
func (c *localCall) Run() {
	began := time.Now()
	if !c.begin() {
		return
	}
	c.metrics.SplicedLocal()
	ctx := grpc.NewContextWithServerTransportStream(c.ctx, c)
	var reply any
	var err error
	if c.note == noNote {
		reply, err = c.guarded.handle(c.service, ctx, c.decode, c.interceptor)
	} else {
		reply, err = c.guarded.afterHop(c.service, ctx, c.decode, c.interceptor, c.note)
	}
	c.end(reply, err)
	took := c.took.Load()
	c.took.Store(took + (int64(time.Since(began))-took)/8)
}

// begin takes from the call what the handler gets, because the call may end at any time.
func (c *localCall) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call == nil || c.call.Gone() {
		c.call = nil
		return false
	}
	c.body = bytes.Clone(c.call.Body)
	ctx := caller(c.call)
	if !c.call.Head.HasTimeout {
		c.ctx, c.cancel = context.WithCancel(ctx)
		return true
	}
	deadline := c.call.Arrived.Add(c.call.Head.Timeout)
	c.ctx, c.cancel = context.WithDeadline(ctx, deadline)
	c.timer = time.AfterFunc(time.Until(deadline), c.late)
	return true
}

// caller is a context that says who calls: the peer and the metadata. It is made once for equal calls of a connection.
func caller(call *splice.Call) context.Context {
	if known, ok := call.Head.Kept.Load().(context.Context); ok {
		return known
	}
	ctx := metadata.NewIncomingContext(peer.NewContext(context.Background(), call.Peer()), call.Head.Metadata())
	call.Head.Kept.Store(ctx)
	return ctx
}

// decode takes the place of grpc-go's decoder.
func (c *localCall) decode(into any) error {
	if raw, ok := into.(*codec.Raw); ok {
		raw.Bytes = c.body
		return nil
	}
	return c.decodeBody(c.body, into)
}

// late resets the stream, as grpc-go does when a call's time is over, whatever the handler does.
func (c *localCall) late() {
	<-c.ctx.Done() // its clock is another
	c.mu.Lock()
	if call := c.call; call != nil {
		c.call = nil
		call.Expire()
	}
	c.mu.Unlock()
	c.side.door.splice.FlushDirty()
}

// leave says that the caller has left.
func (c *localCall) leave() {
	c.mu.Lock()
	c.call = nil
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// end gives the door what the handler returned.
func (c *localCall) end(message any, err error) {
	var said splice.Reply
	body, failed := c.encode(message, err)
	if failed != nil {
		said.Status = failed.Proto()
	} else {
		said.Body = body.bytes
		defer body.free()
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.answer(&said)
	c.cancel()
	c.body = nil // a pooled call may keep c for a while
}

func (c *localCall) answer(said *splice.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := c.call; call != nil {
		c.call = nil
		said.Header, said.Trailer, said.Sent = c.set.header, c.set.trailer, c.sent
		call.Reply(said)
	}
}

// encode does what grpc-go does with what a handler returns.
func (c *localCall) encode(message any, err error) (encoded, *status.Status) {
	if err != nil {
		return encoded{}, asHandlerError(err)
	}
	if message == nil {
		return encoded{}, nil
	}
	data, err := c.side.codec.Marshal(message)
	if err != nil {
		return encoded{}, status.Newf(codes.Internal, "grpc: error while marshaling: %v", err)
	}
	limit := c.side.cfg.Spliced.MaxSendMsgSize
	if limit == 0 {
		limit = math.MaxInt32
	}
	if length := data.Len(); length > limit {
		data.Free()
		return encoded{}, status.Newf(codes.ResourceExhausted, "%s (%d vs. %d)", tooLongWords(grpc.Version), length, limit)
	}
	return newEncoded(data), nil
}
