package shim

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/splice"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/internal/workers"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/tracing"
)

// door is the policy behind the spliced front door:
//
//	splice: Begin ──> may it be forwarded? ──> admit ──> Post to a lane ──> Receive ──> judge ──> Answer or Refuse
//	                    │ no                    │ no        │ no                          │ no answer
//	                    └───────────────────────┴───────────┴─────────────────────────────┴──> Local: grpc-go, or
//	                                                                                           a worker (door_local.go)
//
// What it decides is decided by the same code as for the stock door: admit, judge, fail and handBack.
type door struct {
	side   *Side
	splice *splice.Server
	// state is one of the constants below.
	state atomic.Uint32
	// why is the reason for doorShut. server is the one whose hot methods were registered.
	why    atomic.Pointer[error]
	server atomic.Pointer[server]
	// several is true if hot methods were registered with several servers.
	several atomic.Bool
	// workers run local handlers; nil if grpc-go does. servants are what they call, by method.
	workers  *workers.Pool
	servants []atomic.Pointer[servant]
	// notes are what a request is marked with on its way to grpc-go, by note. They are secrets of this process, so that no
	// caller can write one.
	notes [noteCount]string
}

// The door does not forward before grpc-go has served a hot request: only that shows which codec and interceptors the
// server has.
const (
	doorUnknown uint32 = iota
	doorOpen
	// doorShut: the server has, or may have, interceptors that may not be skipped.
	doorShut
	// doorForeign: the server has another codec than the shim's.
	doorForeign
)

// note says to the handler what the door has done with a request already.
type note uint8

const (
	// noNote: the handler decides, as behind the stock door.
	noNote note = iota
	// noteLocal: the door has counted a fallback. The service answers.
	noteLocal
	// noteDeclined: the same, and no sidecar with this model would have answered.
	noteDeclined
	noteCount
)

// noteKey is the metadata key of notes. The handler removes it.
const noteKey = "hotpath-note"

func newDoor(s *Side) *door {
	d := &door{side: s, servants: make([]atomic.Pointer[servant], len(s.cfg.Methods))}
	for n := noteLocal; n < noteCount; n++ {
		d.notes[n] = rand.Text()
	}
	if s.cfg.Experiment.OpenDoor {
		d.state.Store(doorOpen)
	}
	may := s.cfg.Spliced
	d.splice = splice.NewServer(splice.Config{
		Hot: d, Logger: s.log, Observer: s.metrics.Door, Extra: may.Local || s.forwardsAnyMetadata(),
	})
	d.workers = d.newWorkers()
	return d
}

// forwardsAnyMetadata says whether the door may forward requests with metadata that it does not know.
func (s *Side) forwardsAnyMetadata() bool {
	return s.cfg.Spliced.AnyMetadata || s.cfg.Spliced.Authorize != nil || s.cfg.Forwardable != nil
}

// learn takes from a request at grpc-go's what the server has.
func (d *door) learn(codec uint32, interceptors bool) {
	if d.state.Load() != doorUnknown {
		return
	}
	switch {
	case codec == codecForeign:
		d.state.Store(doorForeign)
	case interceptors && !d.side.cfg.Spliced.SkipInterceptors:
		d.shut(ErrInterceptors)
	case codec == codecOurs:
		d.state.CompareAndSwap(doorUnknown, doorOpen)
	}
}

// wantsCodec says whether the door would open if it knew the codec of a server with interceptors.
func (d *door) wantsCodec() bool {
	return d != nil && d.side.cfg.Spliced.SkipInterceptors && d.state.Load() == doorUnknown
}

// serve tells the door of a server with hot methods. What the first requests show about one server says nothing about
// another, so several are served only if none of their interceptors matters.
func (d *door) serve(of *server) {
	if d.server.CompareAndSwap(nil, of) || d.server.Load() == of {
		return
	}
	// Nobody knows which of them a connection belongs to, and so whose handler is to answer.
	d.several.Store(true)
	if !d.side.cfg.Spliced.SkipInterceptors {
		d.shut(ErrSeveralServers)
	}
}

func (d *door) shut(why error) {
	if d.why.CompareAndSwap(nil, &why) {
		d.state.Store(doorShut)
		d.side.log.Error(why.Error())
	}
}

// mistake says why the door is shut, if it is.
func (d *door) mistake() error {
	if why := d.why.Load(); why != nil {
		return *why
	}
	return nil
}

// takeNote returns the note of a request, and removes it from the context.
func (d *door) takeNote(ctx *context.Context) note {
	values := metadata.ValueFromIncomingContext(*ctx, noteKey)
	if len(values) == 0 {
		return noNote
	}
	// A caller may have sent the key as well, but it can't know the secret.
	found := noNote
	for n := noteLocal; n < noteCount; n++ {
		if slices.Contains(values, d.notes[n]) {
			found = n
		}
	}
	if found != noNote {
		md, _ := metadata.FromIncomingContext(*ctx)
		own := slices.DeleteFunc(md[noteKey], func(value string) bool { return value == d.notes[found] })
		if md[noteKey] = own; len(own) == 0 {
			delete(md, noteKey)
		}
		*ctx = metadata.NewIncomingContext(*ctx, md)
	}
	return found
}

// Method implements splice.Hot.
func (d *door) Method(path []byte) int {
	for i, name := range d.side.cfg.Methods {
		if name == string(path) {
			return i
		}
	}
	return -1
}

// Begin implements splice.Hot.
func (d *door) Begin(calls []*splice.Call) {
	now := time.Now()
	var posted poster
	for _, call := range calls {
		used := d.begin(call, now)
		if used != nil && used != posted {
			if posted != nil {
				posted.Flush()
			}
			posted = used
		}
	}
	if posted != nil {
		posted.Flush()
	}
}

// poster is a transport that takes requests from those who don't wait.
type poster interface {
	transport.Transport
	Post(request *transport.Request, to lane.Receiver) (lane.Ticket, error)
	Cancel(ticket lane.Ticket) bool
	Flush()
	Large() transport.Transport
}

// forwarded is a call on its way to the sidecar.
type forwarded struct {
	door *door
	m    *method

	mu     sync.Mutex
	call   *splice.Call // nil if the caller has left, or the call is ended
	local  *localCall   // what became of the call if a worker has it
	via    poster
	ticket lane.Ticket
	hop    hop
	began  time.Time
}

// begin returns the transport on which it has posted the call, if it has.
func (d *door) begin(call *splice.Call, now time.Time) poster {
	f, _ := call.Owner.(*forwarded)
	if f == nil {
		f = &forwarded{door: d}
		call.Owner = f
	}
	m := d.side.methods[call.Head.Method]
	if d.state.Load() != doorOpen || m.hedge != nil || !m.takes(call.Body) || d.side.reachable(m.index) != none ||
		call.Head.Extra && !d.side.forwardsAnyMetadata() {
		// The handler counts these as it does behind the stock door.
		f.leave(call)
		return nil
	}
	asked := asked{body: call.Body, budget: d.budget(call, now)}
	fields := call.Head.Fields
	if fields.Traceparent != nil || fields.TraceBin != nil {
		asked.traceparent, asked.tracestate = traceOf(fields.Metadata())
	}
	return f.post(m, call, &asked, now)
}

// budget is Side.budget, for a call at the door.
func (d *door) budget(call *splice.Call, now time.Time) time.Duration {
	if call.Head.HasTimeout {
		return d.side.share(call.Head.Timeout - now.Sub(call.Arrived))
	}
	return d.side.cfg.HopTimeout
}

// leave leaves a call to the service that the door has not looked at.
func (f *forwarded) leave(call *splice.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call, f.local = call, nil
	f.toService(noNote)
}

// may asks the service's own hooks. kept means that the service is to answer, ended that the door has.
func (d *door) may(m *method, call *splice.Call) (kept, ended bool) {
	authorize := d.side.cfg.Spliced.Authorize
	if authorize == nil && d.side.cfg.Forwardable == nil {
		return false, false
	}
	ctx := caller(call)
	if !d.side.cfg.CallerPositions {
		ctx = d.side.positions.Without(ctx)
	}
	if authorize != nil {
		if err := authorize(ctx, m.name); err != nil {
			call.Refuse(asHandlerError(err).Proto(), 0, false)
			return false, true
		}
	}
	return m.keptHere(ctx), false
}

// want reads what the caller asks about positions, if it may.
func (d *door) want(call *splice.Call, a *asked) reason {
	fields := call.Head.Fields
	if !d.side.cfg.CallerPositions ||
		fields.MinPosition == nil && fields.AtPosition == nil && fields.Position == nil && !fields.Extra {
		return none
	}
	var err error
	if a.want, err = position.FromMetadata(fields.Metadata()); err != nil {
		return badBounds
	}
	return none
}

// asHandlerError is what grpc-go makes of an error that a handler returns.
func asHandlerError(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	return status.FromContextError(err)
}

func (d *door) toGRPC(call *splice.Call, n note) {
	d.countHandOver(call, n)
	if n == noNote {
		call.Local("", "")
		return
	}
	call.Local(noteKey, d.notes[n])
}

func statusOf(err error) *spb.Status { return status.Convert(err).Proto() }

// noAnswer leaves the call to the service. It needs the lock, and f.call.
func (f *forwarded) noAnswer(why reason, err error) {
	f.m.fail(&f.hop, why, err)
	if why == declined {
		f.toService(noteDeclined)
		return
	}
	f.toService(noteLocal)
}

// toService needs the lock, and f.call.
func (f *forwarded) toService(n note) {
	call := f.call
	f.call = nil
	if f.local = f.door.locally(call, n); f.local == nil {
		f.door.toGRPC(call, n)
	}
}

// survive must be deferred, with the lock held. It makes a panic of the forwarding code cost this hop, not the process.
func (f *forwarded) survive() {
	if cause := recover(); cause != nil {
		f.panicked(cause)
	}
}

// panicked needs the lock.
func (f *forwarded) panicked(cause any) {
	f.m.metrics.Fallback(int(panicked))
	f.m.tellOfPanic(cause)
	f.m.handBack(&f.hop, methodFailure, panicked)
	f.m.endSpan(&f.hop, tracing.Outcome{Reason: panicked.String()})
	if f.call != nil {
		f.toService(noteLocal)
	}
}

// Cancel implements splice.Hot.
func (d *door) Cancel(call *splice.Call) {
	f, _ := call.Owner.(*forwarded)
	if f == nil {
		return
	}
	if via := f.cancel(call); via != nil {
		via.Flush()
	}
}

// cancel returns the transport that has to tell the sidecar, if there is one.
func (f *forwarded) cancel(call *splice.Call) poster {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.local != nil {
		f.local.leave()
	}
	if f.call == nil {
		return nil
	}
	f.call = nil
	f.m.endSpan(&f.hop, tracing.Outcome{})
	if f.via.Cancel(f.ticket) {
		f.m.metrics.Hop(time.Since(f.began))
		f.m.handBack(&f.hop, noOutcome, none)
		return f.via
	}
	// The outcome is on its way to f, so the next call gets another.
	call.Owner = nil
	return nil
}
