package shim

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/breaker"
	"hotpath.dev/go-shim/internal/link"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/tracing"
)

// minHop is the least time with which a hop is tried.
const minHop = time.Millisecond

// answer is the outcome of forward. If served is false, the local handler has to answer. If declined is true, no sidecar
// with this model would have answered.
type answer struct {
	body             []byte
	err              error
	served, declined bool
	// position is where it was computed, tell whether the caller wants to know.
	position uint64
	tell     bool
	// compares is true if the mode leaves the request to the local handler, whose answer is to be compared.
	compares bool
}

// hop is a request on its way to the sidecar.
type hop struct {
	sidecar *sidecar
	session *link.Session
	ticket  breaker.Ticket
	request transport.Request
	// tell is true if the caller wants to know the position.
	tell bool
	// admitted is true from the breaker's permission until the ticket is handed back.
	admitted bool
	// again is true if another sidecar gave no answer before.
	again bool
	// tookUS is how long it took, in microseconds, in the place that the flags leave.
	tookUS uint32
	// span is nil until it has begun, so always without a tracer.
	span *span
}

// staysLocal says, before the request is read, whether the local handler has to answer it.
func (m *method) staysLocal() bool {
	switch mode := Mode(m.mode.Load()); {
	case mode.Percent() == 0:
		m.metrics.Legacy()
		return true
	case mode != Sidecar:
		return false // forward decides by the request's bytes
	}
	why := m.side.reachable(m.index)
	if why != none {
		m.metrics.Fallback(int(why))
	}
	return why != none
}

// forward asks the sidecar. If into is not nil, it also decodes the reply; a reply that can't be decoded is no answer.
func (m *method) forward(ctx context.Context, body []byte, into proto.Message) (out answer) {
	var h hop
	defer m.survive(&h, &out)
	if !m.takes(body) {
		m.metrics.Legacy()
		return answer{compares: samples(Mode(m.mode.Load()))}
	}
	if why := m.route(ctx, body, &h); why != none {
		m.metrics.Fallback(int(why))
		return answer{}
	}
	m.startSpan(ctx, &h)
	reply, why, err := m.call(ctx, &h, into)
	if why != none && ctx.Err() == nil && m.askOther(&h, why, err, m.side.budget(ctx)) {
		reply, why, err = m.call(ctx, &h, into)
	}
	if why != none {
		// The caller has left: nobody waits for a fallback, and this says nothing about the sidecar.
		if cause := ctx.Err(); cause != nil {
			m.handBack(&h, noOutcome, none)
			left := status.FromContextError(cause).Err()
			m.endSpan(&h, tracing.Outcome{Err: left})
			return answer{err: left, served: true}
		}
		m.fail(&h, why, err)
		return answer{declined: why == declined}
	}
	m.handBack(&h, success, none)
	m.metrics.Sidecar()
	if m.checksLater() {
		m.checkLater(context.WithoutCancel(ctx), &h, reply.Body, reply.Position, err)
	}
	m.endSpan(&h, tracing.Outcome{Answered: true, Position: reply.Position, Err: err})
	return answer{body: reply.Body, err: err, served: true, position: reply.Position, tell: h.tell}
}

// told tells the caller at which position an answer of the sidecar was computed, if it wants to know.
func (a *answer) told(ctx context.Context) {
	if a.tell {
		// This fails only if an interceptor sent the header already. Then there is no place for the position.
		_ = grpc.SetHeader(ctx, metadata.Pairs(position.Key, position.Format(a.position)))
	}
}

// survive must be deferred. It makes a panic of the forwarding code cost this hop, not the process.
func (m *method) survive(h *hop, out *answer) {
	cause := recover()
	if cause == nil {
		return
	}
	*out = answer{}
	m.metrics.Fallback(int(panicked))
	m.tellOfPanic(cause)
	m.handBack(h, methodFailure, panicked)
	m.endSpan(h, tracing.Outcome{Reason: panicked.String()})
}

func (m *method) tellOfPanic(cause any) {
	m.side.quiet.Warn("panic", "forwarding panicked; the request is answered locally", "method", m.name,
		"panic", cause, "stack", string(debug.Stack()))
}

// route is the policy for a request of grpc-go's.
func (m *method) route(ctx context.Context, body []byte, h *hop) reason {
	want, incoming, err := m.side.positions.Read(ctx)
	if err != nil {
		return badBounds
	}
	asked := asked{want: want, body: body, budget: m.side.budget(ctx)}
	asked.traceparent, asked.tracestate = traceOf(incoming)
	return m.admit(&asked, h)
}

// asked is what the policy goes by, whichever door the request came through.
type asked struct {
	want                    position.Want
	body                    []byte
	budget                  time.Duration
	traceparent, tracestate string
}

// admit is the policy. It alone decides whether and how a request is forwarded.
func (m *method) admit(a *asked, h *hop) reason {
	head := m.side.source.Head()
	if a.want.Min > head || a.want.HasAt && a.want.At > head {
		return aheadOfHead
	}
	h.tell = a.want.Asked
	h.request = m.requestOf(a, head)
	// This may be another sidecar, or another session, than the one that staysLocal looked at.
	first := m.side.chooser.Asked()
	if first.other == nil {
		return m.reach(first, h)
	}
	return m.reachEither(first, h)
}

// keptHere counts a request that Config.Forwardable leaves to the local handler.
func (m *method) keptHere(ctx context.Context) bool {
	why := m.forwardable(ctx)
	if why != none {
		m.metrics.Fallback(int(why))
	}
	return why != none
}

// forwardable asks Config.Forwardable, with the context that the service's handler gets. A panic keeps the request local.
func (m *method) forwardable(ctx context.Context) (why reason) {
	if m.side.cfg.Forwardable == nil {
		return none
	}
	defer func() {
		if cause := recover(); cause != nil {
			m.tellOfPanic(cause)
			why = panicked
		}
	}()
	if !m.side.cfg.Forwardable(ctx, m.name) {
		return notForwardable
	}
	return none
}

// budget leaves the local handler at least half of the caller's time.
func (s *Side) budget(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return s.share(time.Until(deadline))
	}
	return s.cfg.HopTimeout
}

func (s *Side) share(left time.Duration) time.Duration { return min(s.cfg.HopTimeout, left/2) }

// oldest is the lowest position that may answer.
func (s *Side) oldest(asked, head uint64) uint64 {
	lag := min(uint64(s.cfg.Freshness), head)
	return max(asked, head-lag)
}

// call makes the hop.
func (m *method) call(ctx context.Context, h *hop, into proto.Message) (transport.Reply, reason, error) {
	began := time.Now()
	reply, err := h.session.Transport.Call(ctx, &h.request)
	took := time.Since(began)
	h.tookUS = microseconds(took)
	m.metrics.Hop(took)
	why := judge(&h.request, reply, err)
	if why == none && err == nil && into != nil {
		if codec.Decode(m.side.codec, reply.Body, into) != nil {
			why = badReply
		}
	}
	return reply, why, err
}

func microseconds(d time.Duration) uint32 { return uint32(min(d.Microseconds(), math.MaxUint32)) }

// judge returns none if the outcome is an answer, and otherwise why it is a failure. An answer has a position that the
// request allows.
func judge(request *transport.Request, reply transport.Reply, err error) reason {
	code := status.Code(err)
	if reply.Positioned {
		// Whether arguments are valid depends on no position, so the sidecar names its newest one.
		if code == codes.InvalidArgument || request.Bounds.Admit(reply.Position) {
			return none
		}
		return wrongPosition
	}
	switch {
	case errors.Is(err, transport.ErrBusy):
		return busy
	case errors.Is(err, transport.ErrRefused):
		return methodRefused
	}
	switch code {
	case codes.DeadlineExceeded:
		return hopTimeout
	case codes.Unavailable, codes.Canceled:
		return unavailable
	case codes.FailedPrecondition:
		switch position.Reason(err) {
		case position.ReasonNotReached:
			return notReached
		case position.ReasonNotRetained:
			return notRetained
		}
	case codes.Unimplemented:
		if position.Reason(err) == reasonDeclined {
			return declined
		}
	case codes.ResourceExhausted:
		if position.Reason(err) == reasonOverloaded {
			return overloaded
		}
	}
	return noPosition
}

// fail reports a hop without an answer to the breaker, the metrics and the log.
func (m *method) fail(h *hop, why reason, err error) {
	m.metrics.Fallback(int(why))
	m.endSpan(h, tracing.Outcome{Reason: why.String(), Err: err})
	if why == declined {
		// This is normal: the sidecar works, and there is nothing to warn about.
		m.metrics.Declined(whyDeclined(err))
		m.handBack(h, success, why)
		return
	}
	h.sidecar.quiet.Warn(why.String(), "the sidecar gave no answer; the request is answered locally",
		"method", m.name, "reason", why.String(), "error", err)
	m.handBack(h, m.outcome(h, why, err), why)
}

// handBack returns the ticket, if there is one, to the breaker, once.
func (m *method) handBack(h *hop, o outcome, why reason) {
	if !h.admitted {
		return
	}
	h.admitted = false
	breaker, budget := h.sidecar.breaker, h.sidecar.budgets[m.index]
	switch {
	case why == none && o == success:
		budget.Success()
	case o == methodFailure, o == sideFailure, why == overloaded:
		budget.Vain()
	case o == doubt:
		budget.Doubt()
	}
	switch o {
	case methodFailure:
		breaker.Failure(h.ticket, why.String())
	case sideFailure:
		breaker.Lost(h.ticket, why.String())
	case doubt:
		breaker.Doubt(h.ticket, why.String())
	case noOutcome:
		breaker.Abandon(h.ticket)
	case success:
		breaker.Success(h.ticket)
	}
}

type outcome uint8

const (
	// methodFailure: the sidecar may be broken, for this method or for all. Package breaker decides which.
	methodFailure outcome = iota
	// sideFailure: the way to the sidecar is broken, for every method.
	sideFailure
	// doubt: the sidecar may be broken, or only this request was too much for it.
	doubt
	// noOutcome: this hop taught nothing, or another request has already told the breaker.
	noOutcome
	// success: the sidecar works. If it gave no answer, the reason lies in this request alone. If such requests
	// counted, one caller could open the breaker for all.
	success
)

func (m *method) outcome(h *hop, why reason, err error) outcome {
	switch why {
	case busy, methodRefused:
		return noOutcome
	case unavailable:
		if errors.Is(err, transport.ErrCollateral) {
			return noOutcome
		}
		return sideFailure
	case hopTimeout, notReached:
		if h.request.Budget < m.side.cfg.HopTimeout/10 {
			return doubt
		}
	case notRetained, overloaded:
		return success
	case noPosition:
		switch status.Code(err) {
		// The sidecar can't decode the request, finds it too long or doesn't know it. OK without a position means a
		// broken sidecar.
		case codes.InvalidArgument, codes.OutOfRange, codes.ResourceExhausted, codes.Unimplemented:
			return success
		case codes.Internal:
			// The sidecar says INTERNAL if it can't decode the bytes. It also says so after a panic. Either only this
			// request causes the panic, and the sidecar works on as before, or every request does.
			if codec.Decode(m.side.codec, h.request.Body, m.newRequest()) != nil {
				return success
			}
			return doubt
		}
	}
	return methodFailure
}
