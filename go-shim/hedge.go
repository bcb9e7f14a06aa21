package shim

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/codec"
)

// A hedged request goes to the sidecar, and later to the local handler as well:
//
//	the sidecar ─────────────────────────────────> answer: it counts, and the handler's call is cancelled
//	     │ nothing for p95, and the budget allows it │ no answer: the handler's answer counts
//	     └──> the local handler, on a goroutine ─────> answer: it counts, and the hop is cancelled
//
// The handler writes its response metadata into a buffer, so that a caller never sees that of one answer with the other.

const (
	// leastSamples is how many answers must be known before requests are hedged.
	leastSamples = 100
	// leastHedge is the shortest time to wait for the sidecar. A timer is no more exact.
	leastHedge = 200 * time.Microsecond
	// hedgeShare is how many requests may be hedged, in thousandths; hedgeBurst how many at once after a quiet time.
	hedgeShare = 100
	hedgeBurst = 10
)

// hedge knows how long a method's hops take, and how many more may be hedged.
type hedge struct {
	// p95 is in nanoseconds. It moves by 2% of itself: up by 0.95 of that for a longer hop, down by 0.05 for a shorter one, so
	// that it rests where 95 in 100 are shorter (Ma, Muthukrishnan and Sandler, "Frugal streaming for estimating quantiles",
	// 2013). Goroutines that write at once may lose a step, which does not matter.
	p95     atomic.Int64
	samples atomic.Int64
	tokens  atomic.Int64
}

func newHedge(wanted bool) *hedge {
	if !wanted {
		return nil
	}
	return &hedge{}
}

// learn takes how long an answer took.
func (h *hedge) learn(took time.Duration) {
	before := h.p95.Load()
	switch n := int64(took); {
	case h.samples.Add(1) == 1:
		h.p95.Store(n)
	case n > before:
		h.p95.Store(before + max(1, before*19/1000))
	default:
		h.p95.Store(before - before/1000)
	}
}

// after is when to ask the local handler as well; false if not at all.
func (h *hedge) after() (time.Duration, bool) {
	h.add(hedgeShare)
	if h.samples.Load() < leastSamples {
		return 0, false
	}
	return max(leastHedge, time.Duration(h.p95.Load())), true
}

func (h *hedge) add(n int64) {
	if h.tokens.Add(n) > hedgeBurst*1000 {
		h.tokens.Store(hedgeBurst * 1000)
	}
}

// take says whether one more request may be hedged.
func (h *hedge) take() bool {
	if h.tokens.Add(-1000) < 0 {
		h.tokens.Add(1000)
		return false
	}
	return true
}

// localAnswer is what a local handler returned, or how it panicked.
type localAnswer struct {
	reply any
	err   error
	cause any
}

// hedged answers a request's bytes by whoever is first.
func (h *handler) hedged(ctx context.Context, body []byte, run func(context.Context) (any, error)) (any, error) {
	hopCtx, cancelHop := context.WithCancel(ctx)
	defer cancelHop()
	hop := make(chan answer, 1)
	began := time.Now()
	go func() { hop <- h.forward(hopCtx, body, nil) }()
	wait, may := h.hedge.after()
	if !may {
		return h.afterHop(ctx, body, <-hop, began, run)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-hop:
		return h.afterHop(ctx, body, a, began, run)
	case <-timer.C:
	}
	if !h.hedge.take() {
		return h.afterHop(ctx, body, <-hop, began, run)
	}
	localCtx, cancelLocal := context.WithCancel(ctx)
	defer cancelLocal()
	stream := &buffered{ServerTransportStream: grpc.ServerTransportStreamFromContext(ctx)}
	own := make(chan localAnswer, 1)
	go func() { own <- h.callOwn(grpc.NewContextWithServerTransportStream(localCtx, stream), run) }()
	select {
	case a := <-hop:
		if a.served {
			h.hedge.learn(time.Since(began))
			h.metrics.Hedged("sidecar")
			return a.raw(ctx)
		}
		return h.afterOwn(stream, <-own)
	case o := <-own:
		if o.cause == nil && failed(o.err) {
			// The sidecar may still have an answer where Go has none.
			if a := <-hop; a.served {
				h.metrics.Hedged("sidecar")
				return a.raw(ctx)
			}
			return h.afterOwn(stream, o)
		}
		cancelHop()
		h.hedge.learn(time.Since(began))
		h.metrics.Hedged("go")
		h.metrics.Legacy()
		return h.afterOwn(stream, o)
	}
}

// afterHop answers by the hop, or locally if that brought no answer.
func (h *handler) afterHop(ctx context.Context, body []byte, a answer, began time.Time, run func(context.Context) (any, error)) (any, error) {
	switch {
	case a.served:
		h.hedge.learn(time.Since(began))
		return a.raw(ctx)
	case a.declined:
		return run(ctx)
	case a.compares:
		return h.compared(ctx, body, run)
	default:
		return h.watched(ctx, run)
	}
}

// callOwn calls the local handler on a goroutine of its own. A panic belongs to the goroutine of the request, where interceptors
// may recover it.
func (h *handler) callOwn(ctx context.Context, run func(context.Context) (any, error)) (o localAnswer) {
	defer func() { o.cause = recover() }()
	o.reply, o.err = run(ctx)
	return o
}

func (h *handler) afterOwn(stream *buffered, o localAnswer) (any, error) {
	if o.cause != nil {
		panic(o.cause)
	}
	stream.send()
	return o.reply, o.err
}

// hedgedTyped is for interceptors that see messages. The handler gets a message of its own, because it may still run when they
// have the other answer.
func (h *handler) hedgedTyped(ctx context.Context, request any, service grpc.UnaryHandler) (any, error) {
	body, err := codec.Encode(h.side.codec, request)
	if err != nil {
		h.metrics.Fallback(int(unencodable))
		return h.watched(ctx, func(ctx context.Context) (any, error) { return service(ctx, request) })
	}
	reply, err := h.hedged(ctx, body, func(ctx context.Context) (any, error) {
		own := h.newRequest()
		if err := h.decodeBody(body, own); err != nil {
			return nil, err
		}
		return service(ctx, own)
	})
	raw, isRaw := reply.(*codec.Raw)
	if err != nil || !isRaw {
		return reply, err
	}
	typed := h.newReply()
	if codec.Decode(h.side.codec, raw.Bytes, typed) == nil {
		return typed, nil
	}
	h.metrics.Fallback(int(badReply))
	return h.watched(ctx, func(ctx context.Context) (any, error) { return service(ctx, request) })
}

// buffered is the stream of a handler whose answer may not be the one that the caller gets.
type buffered struct {
	grpc.ServerTransportStream
	mu   sync.Mutex
	set  outgoing
	sent bool
}

// SetHeader implements grpc.ServerTransportStream.
func (b *buffered) SetHeader(md metadata.MD) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent {
		return errIllegalHeader()
	}
	b.set.header = metadata.Join(b.set.header, md)
	return nil
}

// SendHeader implements grpc.ServerTransportStream. The headers leave with the answer.
func (b *buffered) SendHeader(md metadata.MD) error {
	if err := b.SetHeader(md); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = true
	return nil
}

// SetTrailer implements grpc.ServerTransportStream.
func (b *buffered) SetTrailer(md metadata.MD) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.trailer = metadata.Join(b.set.trailer, md)
	return nil
}

// send gives the caller what was set.
func (b *buffered) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ServerTransportStream == nil {
		return
	}
	// These fail only if an interceptor has sent the headers already.
	if len(b.set.header) > 0 {
		_ = b.ServerTransportStream.SetHeader(b.set.header)
	}
	if len(b.set.trailer) > 0 {
		_ = b.ServerTransportStream.SetTrailer(b.set.trailer)
	}
}
