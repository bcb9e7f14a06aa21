package shim

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/splice"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/tracing"
)

// This file takes a call at the door over to a sidecar and back:
//
//	post ──> send ──> lane ──> Receive ──> conclude ──> the caller, or the service
//	          ^                               │
//	          └───── no answer: askOther <────┘

func (f *forwarded) post(m *method, call *splice.Call, a *asked, now time.Time) (used poster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m, f.call, f.began, f.hop, f.via, f.local = m, call, now, hop{}, nil, nil
	defer f.survive()
	switch kept, ended := f.door.may(m, call); {
	case kept:
		f.toService(noteLocal)
		return nil
	case ended:
		f.call = nil
		return nil
	}
	why := f.door.want(call, a)
	if why == none {
		why = m.admit(a, &f.hop)
	}
	if why != none {
		m.metrics.Fallback(int(why))
		f.toService(noteLocal)
		return nil
	}
	return f.send()
}

// send posts the hop. It returns the transport, which has to be flushed, or nil if the service has the call. It needs the
// lock, and f.call.
func (f *forwarded) send() poster {
	for {
		via, ok := f.hop.session.Transport.(poster)
		err := lane.ErrTooLong
		var ticket lane.Ticket
		if ok && lane.Takes(f.hop.request.Body) {
			// A call that another way carries has its span there.
			f.m.startSpan(context.Background(), &f.hop)
			ticket, err = via.Post(&f.hop.request, f)
		}
		switch {
		case errors.Is(err, lane.ErrTooLong):
			// The handler asks by a unary call.
			f.m.handBack(&f.hop, noOutcome, none)
			f.toService(noNote)
			return nil
		case err == nil:
			f.via, f.ticket = via, ticket
			return via
		}
		why := judge(&f.hop.request, transport.Reply{}, err)
		if !f.askOther(why, err) {
			f.noAnswer(why, err)
			return nil
		}
	}
}

// askOther is method.askOther, for a call at the door. It needs the lock, and f.call.
func (f *forwarded) askOther(why reason, err error) bool {
	if f.hop.sidecar.other.Load() == nil {
		return false
	}
	now := time.Now()
	if !f.m.askOther(&f.hop, why, err, f.door.budget(f.call, now)) {
		return false
	}
	f.began = now
	return true
}

// Receive implements lane.Receiver.
func (f *forwarded) Receive(out *lane.Outcome) {
	if via := f.receive(out); via != nil {
		via.Flush()
	}
}

// receive returns the transport on which it has posted the call once more, if it has.
func (f *forwarded) receive(out *lane.Outcome) (used poster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.survive()
	if !out.TooLong || f.call == nil {
		f.m.metrics.Hop(time.Since(f.began))
	}
	if f.call == nil {
		// The caller has left. This says nothing about the sidecar.
		f.m.handBack(&f.hop, noOutcome, none)
		return nil
	}
	if out.TooLong {
		// The call may end, and its body with it, before the other transport has read the request.
		request := f.hop.request
		request.Body = bytes.Clone(request.Body)
		request.Budget -= time.Since(f.began)
		go f.again(f.via.Large(), &request)
		return nil
	}
	return f.conclude(out)
}

// again asks by the transport for what no lane can carry, because the answer was too long for a lane.
func (f *forwarded) again(large transport.Transport, request *transport.Request) {
	defer f.door.splice.FlushDirty()
	defer func() {
		if cause := recover(); cause != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.panicked(cause)
		}
	}()
	reply, err := transport.Reply{}, error(status.Error(codes.DeadlineExceeded, "the sidecar did not reply in time"))
	if request.Budget > 0 {
		reply, err = large.Call(context.Background(), request)
	}
	f.Receive(&lane.Outcome{Body: reply.Body, Position: reply.Position, Positioned: reply.Positioned, Err: err})
}

// conclude ends the call by what the sidecar said, or posts it to the other one. It needs the lock, and f.call.
func (f *forwarded) conclude(out *lane.Outcome) (used poster) {
	reply := transport.Reply{Position: out.Position, Positioned: out.Positioned}
	if why := judge(&f.hop.request, reply, out.Err); why != none {
		if f.askOther(why, out.Err) {
			return f.send()
		}
		f.noAnswer(why, out.Err)
		return nil
	}
	f.m.handBack(&f.hop, success, none)
	f.m.metrics.Sidecar()
	f.m.endSpan(&f.hop, tracing.Outcome{Answered: true, Position: out.Position, Err: out.Err})
	call := f.call
	if f.m.checksLater() {
		f.hop.tookUS = microseconds(time.Since(f.began))
		f.m.checkLater(caller(call), &f.hop, out.Body, out.Position, out.Err)
	}
	f.call = nil
	if out.Err != nil {
		call.Refuse(statusOf(out.Err), out.Position, f.hop.tell)
		return nil
	}
	call.Answer(out.Before, out.Body, out.Position, f.hop.tell)
	return nil
}
