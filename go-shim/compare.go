package shim

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/shadow"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/position"
)

// This file gives to package shadow what was answered, and asks for it the other side:
//
//	Go has answered ──> compared ──────────────────────┐
//	the sidecar has answered ──> checkLater, at        ├──> shadow.Comparer ──> comparer.Sidecar, or comparer.Go
//	                             either front door ────┘

// comparer implements shadow.Sides and shadow.Observer.
type comparer struct {
	*shadow.Comparer
	side *Side
}

func newComparer(s *Side) *comparer {
	c, cfg := &comparer{side: s}, &s.cfg.Comparison
	c.Comparer = shadow.New(shadow.Config{
		Sides: c, Observer: c, Methods: len(s.methods), Workers: cfg.Workers, Queue: cfg.Queue, QueueBytes: cfg.QueueBytes,
		Timeout: cfg.Timeout, Log: s.log,
	})
	return c
}

// samples says whether a request is to be compared.
func samples(mode Mode) bool {
	switch check := mode.Check(); check {
	case 0:
		return false
	case 100:
		return true
	default:
		return rand.IntN(100) < check
	}
}

// comparesLocal says whether a request that its mode leaves to the local handler is to be compared. forward answers that for
// a canary, because it goes by the request's bytes.
func (m *method) comparesLocal() bool {
	mode := Mode(m.mode.Load())
	return mode.Percent() == 0 && samples(mode)
}

// compared has a local handler answer, and the answer compared. It returns the reply as bytes, so that comparing costs the
// caller no second encoding.
func (h *handler) compared(ctx context.Context, body []byte, run func(context.Context) (any, error)) (any, error) {
	if h.forwardable(ctx) != none || !h.boundsAreGood(ctx) {
		return h.watched(ctx, run) // it would not be forwarded
	}
	began, head := time.Now(), h.side.source.Head()
	observed, seen := position.Observe(ctx)
	reply, lost, err := h.observed(observed, run)
	first := shadow.Answer{Took: time.Since(began), Metadata: lost}
	if reported, ok := seen.At(); ok {
		first.Position = reported
	} else if first.Position = head; h.side.source.Head() != head || failed(err) {
		h.side.comparer.Drop(h.index, unplaced(err))
		return reply, err
	}
	if err != nil {
		first.Status = asHandlerError(err).Proto()
	} else {
		encoded, bad := h.asRaw(reply)
		if bad != nil {
			h.side.comparer.Drop(h.index, shadow.Unencodable)
			return reply, nil // grpc-go says what is wrong
		}
		first.Body, reply = encoded.Bytes, encoded
	}
	kind := shadow.Forward
	if Mode(h.mode.Load()).AsksAgain() {
		kind = shadow.Again
	}
	h.side.comparer.Offer(shadow.Job{Kind: kind, Method: h.index, Request: body, First: first, Context: context.WithoutCancel(ctx)})
	return reply, err
}

// boundsAreGood says whether the positions that the caller asks for can be told to a sidecar.
func (m *method) boundsAreGood(ctx context.Context) bool {
	_, _, err := m.side.positions.Read(ctx)
	return err == nil
}

// failed says whether an error of a handler that reported no position is a failure rather than an answer.
func failed(err error) bool {
	switch asHandlerError(err).Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Internal, codes.Unknown, codes.Aborted:
		return true
	}
	return false
}

// unplaced says why an answer cannot be compared whose position is not known.
func unplaced(err error) shadow.Drop {
	if failed(err) {
		return shadow.GoFailed
	}
	return shadow.PositionUnknown
}

// checksLater says whether an answer of the sidecar is to be compared with Go's.
func (m *method) checksLater() bool {
	mode := Mode(m.mode.Load())
	return mode != Sidecar && samples(mode)
}

// checkLater has an answer of the sidecar compared with Go's. The bytes stay the caller's.
func (m *method) checkLater(ctx context.Context, h *hop, reply []byte, at uint64, err error) {
	first := shadow.Answer{Body: bytes.Clone(reply), Position: at, Took: time.Duration(h.tookUS) * time.Microsecond}
	if err != nil {
		first.Body, first.Status = nil, statusOf(err)
	}
	m.side.comparer.Offer(shadow.Job{
		Kind: shadow.Reverse, Method: m.index, Request: bytes.Clone(h.request.Body), First: first, Context: ctx,
	})
}

// local is how a method's own handler is called.
type local struct {
	handler methodHandler
	service any
}

// NewReply implements shadow.Sides.
func (c *comparer) NewReply(i int) proto.Message { return c.side.methods[i].newReply() }

// Sidecar implements shadow.Sides. It neither obeys breakers nor tells them anything: nobody waits for the answer.
func (c *comparer) Sidecar(ctx context.Context, j *shadow.Job, at uint64) (shadow.Answer, shadow.Drop) {
	m, session := c.side.methods[j.Method], c.side.chooser.Asked().link.Serving()
	switch {
	case session == nil:
		return shadow.Answer{}, shadow.NotReady
	case !session.Accepts(m.index) || len(j.Request) > session.MaxMessageBytes:
		return shadow.Answer{}, shadow.Refused
	}
	request := transport.Request{
		Method: m.name, Index: m.index, Budget: c.side.cfg.Comparison.Timeout, Body: j.Request,
		Bounds: transport.Bounds{Min: at, At: at, HasAt: true},
	}
	reply, err := session.Transport.Call(ctx, &request)
	answer := shadow.Answer{Body: reply.Body, Position: reply.Position}
	if err != nil {
		answer.Body, answer.Status = nil, statusOf(err)
	}
	return answer, dropOf(judge(&request, reply, err))
}

func dropOf(why reason) shadow.Drop {
	switch why {
	case none, wrongPosition: // package shadow looks at the position
		return ""
	case notReached:
		return shadow.NotReached
	case notRetained:
		return shadow.NotRetained
	case declined:
		return shadow.Declined
	case busy:
		return shadow.Busy
	case methodRefused:
		return shadow.Refused
	case hopTimeout:
		return shadow.Timeout
	default:
		return shadow.NoAnswer
	}
}

// Go implements shadow.Sides.
func (c *comparer) Go(ctx context.Context, j *shadow.Job, at uint64) (shadow.Answer, shadow.Drop) {
	m := c.side.methods[j.Method]
	own := m.own.Load()
	if own == nil {
		return shadow.Answer{}, shadow.GoFailed
	}
	stream := &unheard{method: m.name}
	ctx, seen := position.Observe(grpc.NewContextWithServerTransportStream(withPosition(ctx, at), stream))
	head := c.side.source.Head()
	reply, err := own.handler(own.service, ctx, func(into any) error { return m.decodeBody(j.Request, into) }, nil)
	answer := shadow.Answer{Position: head, Metadata: stream.set.Load()}
	reported, ok := seen.At()
	switch {
	case ok:
		answer.Position = reported
	case ctx.Err() != nil:
		return answer, shadow.Timeout
	case c.side.source.Head() != head || failed(err):
		return answer, unplaced(err)
	}
	if err != nil {
		answer.Status = asHandlerError(err).Proto()
		return answer, ""
	}
	if answer.Body, err = codec.Encode(c.side.codec, reply); err != nil {
		return answer, shadow.Unencodable
	}
	return answer, ""
}

// withPosition asks a handler for the answer at a position.
func withPosition(ctx context.Context, at uint64) context.Context {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	if md == nil {
		md = metadata.MD{}
	}
	delete(md, position.MinKey)
	md.Set(position.AtKey, position.Format(at))
	return metadata.NewIncomingContext(ctx, md)
}

// Compared implements shadow.Observer.
func (c *comparer) Compared(i int, class shadow.Class, goTook, sidecarTook time.Duration) {
	c.side.methods[i].metrics.Compared.Count(int(class), goTook, sidecarTook)
}

// Dropped implements shadow.Observer.
func (c *comparer) Dropped(i int, why shadow.Drop) {
	c.side.methods[i].metrics.Compared.Dropped(string(why))
}
