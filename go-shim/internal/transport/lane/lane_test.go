package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/unary"
	"hotpath.dev/go-shim/internal/wire"
	"hotpath.dev/go-shim/position"
)

func TestRepliesReachTheirCallersInAnyOrder(t *testing.T) {
	var mu sync.Mutex
	var held []*hotpathv1.ReplyFrame
	r := newRig(t, 2, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		mu.Lock()
		defer mu.Unlock()
		for _, request := range in.GetRequests() {
			if request.GetMethod() != 5 || request.GetBudgetUs() != 60_000_000 {
				return status.Errorf(codes.InvalidArgument, "method %d, budget %d", request.GetMethod(), request.GetBudgetUs())
			}
			held = append([]*hotpathv1.ReplyFrame{echo(request)}, held...)
		}
		if len(held) == 20 {
			p.send(held...)
		}
		return nil
	})
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			if body, err := r.ask(t.Context(), fmt.Sprint("body ", i), longEnough); err != nil || body != fmt.Sprint("body ", i) {
				t.Errorf("caller %d: %q, %v", i, body, err)
			}
		})
	}
	callers.Wait()
}

func TestStatusesAreThoseOfUnaryCalls(t *testing.T) {
	behind := status.Convert(position.NotReached(9, 3))
	details := encode(t, behind.Proto())
	for name, c := range map[string]struct {
		reply *hotpathv1.ReplyFrame
		want  *status.Status
	}{
		"plain":   {&hotpathv1.ReplyFrame{Status: 5, StatusMessage: "none"}, status.New(codes.NotFound, "none")},
		"details": {&hotpathv1.ReplyFrame{Status: 9, StatusMessage: "x", StatusDetails: details}, behind},
		"later":   {&hotpathv1.ReplyFrame{Status: 77}, status.New(77, "")},
		"garbled": {&hotpathv1.ReplyFrame{Status: 3, StatusMessage: "m", StatusDetails: []byte{1}}, status.New(codes.InvalidArgument, "m")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
				c.reply.Id = head(in).GetId()
				p.send(c.reply)
				return nil
			})
			reply, err := r.Call(t.Context(), &transport.Request{Budget: longEnough})
			if got := status.Convert(err); got.String() != c.want.String() || reply.Positioned || reply.Body != nil {
				t.Errorf("got %v %v, want %v", reply, got, c.want)
			}
			if name == "details" && position.Reason(err) != position.ReasonNotReached {
				t.Errorf("reason %q", position.Reason(err))
			}
		})
	}
}

func TestLongRepliesComeInPiecesBetweenShortOnes(t *testing.T) {
	var held *hotpathv1.RequestFrame
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		for _, request := range in.GetRequests() {
			if held == nil {
				held = request
				continue
			}
			frames := echoLong(held, 3)
			for i, frame := range frames {
				if i == len(frames)-1 {
					p.send(echo(request))
				}
				p.send(frame)
			}
			held = nil
		}
		return nil
	})
	for _, body := range []string{"0123456", "012345", "012"} {
		long := make(chan string, 1)
		go func() {
			got, err := r.ask(t.Context(), body, longEnough)
			if err != nil {
				t.Error(err)
			}
			long <- got
		}()
		eventually(t, "the long one is asked", func() bool { return r.inFlight() == 1 })
		if got, err := r.ask(t.Context(), "short", longEnough); got != "short" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got := <-long; got != body {
			t.Errorf("got %q of %q", got, body)
		}
	}
	if len(r.large.asked()) != 0 {
		t.Error("asked again by unary call")
	}
}

// The first reply never ends, because its caller has left or a status comes instead. The second reply must be unharmed.
func TestPiecesOfAReplyThatHasNoEndAreForgotten(t *testing.T) {
	for name, end := range map[string]*hotpathv1.ReplyFrame{
		"a status": {Status: uint32(codes.Canceled)}, "an end": {Position: proto.Uint64(7), Body: []byte("end")},
	} {
		t.Run(name, func(t *testing.T) { forgotten(t, end) })
	}
}

func forgotten(t *testing.T, end *hotpathv1.ReplyFrame) {
	cancelled := make(chan struct{})
	r := newRig(t, 1, nil)
	r.follow(func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		for _, request := range in.GetRequests() {
			p.send(&hotpathv1.ReplyFrame{Id: request.GetId(), Body: []byte("piece"), More: true})
		}
		for _, id := range in.GetCancelled() {
			r.follow(honest)
			last := proto.Clone(end).(*hotpathv1.ReplyFrame)
			last.Id = id
			p.send(last)
			close(cancelled)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "in flight", func() bool { return r.inFlight() == 1 })
		cancel()
	}()
	if _, err := r.ask(ctx, "x", longEnough); status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	<-cancelled
	if got, err := r.ask(t.Context(), "next", longEnough); got != "next" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLongBodiesAndRepliesGoByUnaryCall(t *testing.T) {
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		p.send(&hotpathv1.ReplyFrame{Id: head(in).GetId(), TooLong: true})
		return nil
	})
	for _, body := range []string{"short", strings.Repeat("x", maxBodyBytes+1)} {
		if reply, err := r.ask(t.Context(), body, longEnough); reply != "large" || err != nil {
			t.Fatalf("%q, %v", reply, err)
		}
	}
	calls := r.large.asked()
	if len(calls) != 2 {
		t.Fatalf("%d unary calls", len(calls))
	}
	if again := calls[0]; string(again.Body) != "short" || again.Index != 1 || again.Budget >= longEnough || again.Budget <= 0 {
		t.Errorf("asked again by %+v", again)
	}
	if calls[1].Budget != longEnough || r.watch.sent.Load() != 1 {
		t.Errorf("%d frames; budget %v", r.watch.sent.Load(), calls[1].Budget)
	}
}

// The number of a refused method in the peer's verdict is 0, which may be another method's number.
func TestRefusedMethodsAreNeverSent(t *testing.T) {
	r := newRig(t, 1, honest)
	for _, index := range []int{2, 3, -1} {
		for _, body := range []string{"short", strings.Repeat("x", maxBodyBytes+1)} {
			request := transport.Request{Index: index, Method: "/a/c", Body: []byte(body), Budget: longEnough}
			if _, err := r.Call(t.Context(), &request); !errors.Is(err, transport.ErrRefused) {
				t.Errorf("index %d: %v", index, err)
			}
			if _, err := unary.New(r.cfg.Peer).Call(t.Context(), &request); !errors.Is(err, transport.ErrRefused) {
				t.Errorf("unary, index %d: %v", index, err)
			}
		}
	}
	if n := r.watch.sent.Load(); n != 0 || len(r.large.asked()) != 0 {
		t.Errorf("%d frames, %d unary calls", n, len(r.large.asked()))
	}
}

func TestSlotOfACancelledRequestIsKeptUntilItsReply(t *testing.T) {
	t.Run("by its caller", func(t *testing.T) { keptUntilItsReply(t, longEnough, codes.Canceled) })
	t.Run("by its budget", func(t *testing.T) { keptUntilItsReply(t, time.Millisecond, codes.DeadlineExceeded) })
}

func keptUntilItsReply(t *testing.T, budget time.Duration, want codes.Code) {
	requested, cancelled := make(chan uint64, 1), make(chan uint64, 1)
	var lane *peerLane
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		lane = p
		for _, request := range in.GetRequests() {
			requested <- request.GetId()
		}
		for _, id := range in.GetCancelled() {
			cancelled <- id
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	outcome := make(chan error, 1)
	go func() {
		_, err := r.ask(ctx, "x", budget)
		outcome <- err
	}()
	id := <-requested
	if want == codes.Canceled {
		cancel()
	}
	if err := <-outcome; status.Code(err) != want {
		t.Errorf("got %v", err)
	}
	if got := <-cancelled; got != id || r.inFlight() != 1 {
		t.Errorf("%#x is cancelled, not %#x; %d in flight", got, id, r.inFlight())
	}
	lane.send(&hotpathv1.ReplyFrame{Id: id, Status: uint32(codes.Canceled)})
	eventually(t, "freed", func() bool { return r.inFlight() == 0 && r.watch.inFlight.Load() == 0 })
}

func TestFullLanesAreBusy(t *testing.T) {
	r := newRig(t, 2, func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 2 * maxInFlight {
		callers.Go(func() {
			if _, err := r.ask(ctx, "x", longEnough); status.Code(err) != codes.Canceled {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "full", func() bool { return r.inFlight() == 2*maxInFlight })
	if _, err := r.ask(t.Context(), "x", longEnough); !errors.Is(err, transport.ErrBusy) {
		t.Errorf("got %v", err)
	}
	cancel()
	callers.Wait()
	// Requests whose callers gave up are still in flight.
	if _, err := r.ask(t.Context(), "x", longEnough); !errors.Is(err, transport.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestPeerThatStopsReadingMakesTheLaneBusy(t *testing.T) {
	stalled, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		once.Do(func() { close(stalled); <-goOn })
		return honest(p, in)
	})
	var callers sync.WaitGroup
	defer callers.Wait()
	body := strings.Repeat("x", 60<<10)
	busy := make(chan struct{})
	var first sync.Once
	for range 100 {
		callers.Go(func() {
			_, err := r.ask(t.Context(), body, longEnough)
			if errors.Is(err, transport.ErrBusy) {
				first.Do(func() { close(busy) })
			} else if err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	<-stalled
	<-busy
	if n, _ := r.lanes[0].pressure(); n*len(body) > maxMessageBytes {
		t.Errorf("%d requests of 60 KiB are queued", n)
	}
	close(goOn)
}

func TestWhatBreaksALane(t *testing.T) {
	raw := func(p *peerLane, b []byte) { _ = p.stream.SendMsg(&codec.Raw{Bytes: b}) }
	for name, c := range map[string]struct {
		fault  func(r *rig, p *peerLane, id uint64) error
		reason string
	}{
		"unknown id": {func(_ *rig, p *peerLane, id uint64) error { p.send(&hotpathv1.ReplyFrame{Id: id + 1}); return nil }, UnknownID},
		"other generation": {func(_ *rig, p *peerLane, id uint64) error {
			p.send(&hotpathv1.ReplyFrame{Id: id + 1<<32})
			return nil
		}, UnknownID},
		"garbage": {func(_ *rig, p *peerLane, _ uint64) error { raw(p, []byte("\x0a\xff")); return nil }, Garbage},
		"long message": {func(_ *rig, p *peerLane, _ uint64) error {
			raw(p, make([]byte, maxMessageBytes+1))
			return nil
		}, Limit},
		"long status": {func(_ *rig, p *peerLane, id uint64) error {
			p.send(&hotpathv1.ReplyFrame{Id: id, StatusMessage: strings.Repeat("x", maxStatusBytes+1)})
			return nil
		}, Limit},
		"piece of nothing": {func(_ *rig, p *peerLane, id uint64) error {
			p.send(&hotpathv1.ReplyFrame{Id: id + 1, Body: []byte("x"), More: true})
			return nil
		}, UnknownID},
		"piece with a position": {func(_ *rig, p *peerLane, id uint64) error {
			p.send(&hotpathv1.ReplyFrame{Id: id, Body: []byte("x"), More: true, Position: proto.Uint64(1)})
			return nil
		}, Garbage},
		"pieces that never end": {func(_ *rig, p *peerLane, id uint64) error {
			for range mostBytes/maxBodyBytes + 1 {
				p.send(&hotpathv1.ReplyFrame{Id: id, Body: make([]byte, maxBodyBytes), More: true})
			}
			return nil
		}, Limit},
		"ended":   {func(*rig, *peerLane, uint64) error { return io.EOF }, Ended},
		"refused": {func(*rig, *peerLane, uint64) error { return status.Error(codes.InvalidArgument, "id: must not be 0") }, Refused},
		"cut in mid-message": {func(r *rig, p *peerLane, id uint64) error {
			r.peer.CutMidMessage()
			p.send(&hotpathv1.ReplyFrame{Id: id, Body: make([]byte, 1000)})
			return nil
		}, Ended},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			r.follow(func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
				r.follow(honest)
				return c.fault(r, p, head(in).GetId())
			})
			_, err := r.ask(t.Context(), "x", longEnough)
			if status.Code(err) != codes.Unavailable || errors.Is(err, transport.ErrCollateral) {
				t.Fatalf("got %v", err)
			}
			eventually(t, "counted", func() bool { return r.watch.failures(c.reason) == 1 })
			eventually(t, "open again", func() bool {
				body, err := r.ask(t.Context(), "again", longEnough)
				return err == nil && body == "again"
			})
		})
	}
}

func TestSecondReplyBreaksTheLaneAfterTheFirstIsHandedOut(t *testing.T) {
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		p.send(echo(head(in)), echo(head(in)))
		return nil
	})
	if body, err := r.ask(t.Context(), "x", longEnough); body != "x" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	eventually(t, "counted", func() bool { return r.watch.failures(UnknownID) == 1 })
}

func TestLossOfALaneIsOneFailureAndTheOthersGoOn(t *testing.T) {
	const callers = 10
	r := newRig(t, 2, nil)
	victim := r.lanes[0]
	r.follow(func(_ *peerLane, in *hotpathv1.ExchangeRequest) error {
		for _, request := range in.GetRequests() {
			if string(request.GetBody()) == "break" {
				return io.ErrUnexpectedEOF
			}
		}
		return nil
	})
	outcomes := make(chan error, callers)
	for range callers { // so few all go by the first lane
		go func() {
			_, err := r.ask(t.Context(), "wait", longEnough)
			outcomes <- err
		}()
	}
	eventually(t, "all wait", func() bool { _, n := victim.pressure(); return n == callers })
	go func() { _, _ = r.ask(t.Context(), "break", longEnough) }()
	alone := 0
	for range callers {
		err := <-outcomes
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v", err)
		}
		if !errors.Is(err, transport.ErrCollateral) {
			alone++
		}
	}
	if alone > 1 { // none if the call that broke the lane stands for the loss
		t.Errorf("%d failures", alone)
	}
	r.follow(honest)
	if body, err := r.ask(t.Context(), "x", longEnough); body != "x" || err != nil {
		t.Errorf("the other lane: %q, %v", body, err)
	}
}

func TestPanicCostsTheLaneOnly(t *testing.T) {
	r := newRig(t, 1, honest)
	for i, armed := range []func(bool){r.watch.panicSent.Store, r.watch.panicDone.Store} {
		armed(true)
		_, _ = r.ask(t.Context(), "x", longEnough) // the reader panics after the reply
		eventually(t, "counted", func() bool { return r.watch.failures(Panicked) == i+1 })
		eventually(t, "open again", func() bool { _, err := r.ask(t.Context(), "x", longEnough); return err == nil })
	}
}

func TestLaneOnWhichRepliesAreForgottenIsGivenUp(t *testing.T) {
	r := newRig(t, 1, func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	r.grace = time.Millisecond
	if _, err := r.ask(t.Context(), "x", time.Millisecond); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("got %v", err)
	}
	eventually(t, "given up", func() bool { return r.watch.failures(Unanswered) == 1 && r.inFlight() == 0 })
	r.follow(honest)
	eventually(t, "open again", func() bool { _, err := r.ask(t.Context(), "x", longEnough); return err == nil })
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	r := newRig(t, 2, func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	outcomes := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := r.ask(t.Context(), "x", longEnough)
			outcomes <- err
		}()
	}
	eventually(t, "under way", func() bool { return r.inFlight() == 3 })
	r.Close()
	for range 3 {
		if err := <-outcomes; status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
	}
	if _, err := r.ask(t.Context(), "x", longEnough); status.Code(err) != codes.Unavailable || !errors.Is(err, transport.ErrCollateral) {
		t.Errorf("got %v", err)
	}
	if n := len(r.watch.failed); n != 0 {
		t.Errorf("%d failures are counted: %v", n, r.watch.failed)
	}
}

// closed is a connection on which no stream opens.
type closed struct{ asked chan struct{} }

func (c closed) Open(wire.Call) (*wire.Stream, error) {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return nil, status.Error(codes.Unavailable, "told to")
}

func TestLaneThatDoesNotOpenHoldsUpNobody(t *testing.T) {
	conn, watch := closed{make(chan struct{})}, &watched{}
	over := New(Config{Peer: transport.Peer{Methods: []transport.Name{transport.NameOf(1)}, Lanes: []wire.Opener{conn}}, Large: &large{},
		Observer: watch, Log: slog.New(slog.DiscardHandler)})
	<-conn.asked
	_, err := over.Call(t.Context(), &transport.Request{Budget: longEnough})
	if status.Code(err) != codes.Unavailable || !errors.Is(err, transport.ErrCollateral) {
		t.Errorf("got %v", err)
	}
	<-conn.asked // it tries again
	over.Close()
	if watch.failures(Ended) == 0 || watch.open.Load() != 0 {
		t.Errorf("%d failures; %d open", watch.failures(Ended), watch.open.Load())
	}
}
