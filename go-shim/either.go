package shim

import (
	"time"

	"hotpath.dev/go-shim/internal/transport"
)

// This file says which of two sidecars gets a request:
//
//	the one that is asked ──> the other, if only that one has nothing open against it ──> either, as a probe ──> local
//	   │ no answer
//	   └──> the other, in what is left of the time ──> local
//
// Any answer has to be at a position that the request allows: the bounds belong to the request, so they are the same for
// both. With a single sidecar nothing of this applies.

// reachable says whether a sidecar may be asked for the i-th method, whatever breakers say: none, or why not.
func (s *Side) reachable(i int) reason {
	asked := s.chooser.Asked()
	why := asked.takes(i)
	if why != none && asked.other != nil && asked.other.takes(i) == none {
		return none
	}
	return why
}

// reach admits a hop to this sidecar.
func (m *method) reach(c *sidecar, h *hop) reason {
	session := c.link.Serving()
	switch {
	case session == nil:
		return notReady
	case !session.Accepts(m.index):
		return methodRefused
	case len(h.request.Body) > session.MaxMessageBytes:
		return tooLarge
	case h.request.Budget < minHop:
		return deadlineShort
	}
	// Probes are the breaker's business.
	if c.breaker.Clear(m.index) && !c.budgets[m.index].Allow() {
		return overBudget
	}
	ticket, ok := c.breaker.Allow(m.index)
	if !ok {
		return breakerOpen
	}
	h.sidecar, h.session, h.ticket, h.admitted = c, session, ticket, true
	return none
}

// reachEither admits a hop to one of two sidecars.
func (m *method) reachEither(first *sidecar, h *hop) reason {
	second := first.other
	if !first.clear(m.index) && second.clear(m.index) {
		first, second = second, first
	}
	why := m.reach(first, h)
	// It may have been lost since somebody looked, or have its probe under way.
	if why.mayDifferElsewhere() && m.reach(second, h) == none {
		why = none
	}
	// While both are well, this is all that a second sidecar costs.
	if why == none && !h.sidecar.other.breaker.Clear(m.index) {
		m.probe(h.sidecar.other, &h.request)
	}
	return why
}

// mayDifferElsewhere says whether the other sidecar may answer a request for which this is the reason of the first. What
// lies in the request would only be tried in vain.
func (r reason) mayDifferElsewhere() bool {
	switch r {
	case notReady, methodRefused, breakerOpen, overBudget, overloaded, busy, hopTimeout, unavailable, notReached:
		return true
	}
	return false
}

// askOther admits a hop to the other sidecar after the first gave no answer. If it is true, the hop is to be made again.
// Otherwise the first outcome stands.
func (m *method) askOther(h *hop, why reason, err error, budget time.Duration) bool {
	first := h.sidecar
	if first.other == nil || h.again || !why.mayDifferElsewhere() {
		return false
	}
	// The breaker of the first must know before anything else is tried, and may have the chooser choose again.
	m.handBack(h, m.outcome(h, why, err), why)
	h.again = true
	h.request.Budget = budget
	if m.reach(first.other, h) != none {
		return false
	}
	first.metrics.AskedAgain(int(why))
	first.quiet.Warn("again "+why.String(), "the sidecar gave no answer; the other one is asked",
		"method", m.name, "reason", why.String(), "error", err)
	return true
}

// requestOf is what both sidecars would be asked.
func (m *method) requestOf(a *asked, head uint64) transport.Request {
	return transport.Request{
		Method: m.name, Index: m.index, Budget: a.budget, Body: a.body,
		Bounds:      transport.Bounds{Min: m.side.oldest(a.want.Min, head), At: a.want.At, HasAt: a.want.HasAt},
		Traceparent: a.traceparent, Tracestate: a.tracestate,
	}
}
