package lane

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
)

// received keeps the outcomes of one posted request. It must get one.
type received struct {
	outcomes atomic.Int32
	body     string
	out      Outcome
	done     chan struct{}
}

func newReceived() *received { return &received{done: make(chan struct{})} }

func (r *received) Receive(out *Outcome) {
	if r.outcomes.Add(1) == 1 {
		r.out, r.body = *out, string(out.Before)+string(out.Body)
		close(r.done)
	}
}

func (r *rig) post(t *testing.T, body string, budget time.Duration) (*received, Ticket) {
	t.Helper()
	to := newReceived()
	ticket, err := r.Post(&transport.Request{Index: 1, Method: "/a/b", Body: []byte(body), Budget: budget}, to)
	if err != nil {
		t.Fatal(err)
	}
	return to, ticket
}

func TestAPostedBatchIsOneMessage(t *testing.T) {
	r := newRig(t, 2, honest)
	for try := range 100 {
		if r.batchOf50(t) {
			break
		}
		if try == 99 {
			t.Fatal("no batch left as one message with Flush")
		}
	}
	batches := r.watch.batches.Load()
	r.Flush() // of nothing
	if _, err := r.ask(t.Context(), "call", longEnough); err != nil || r.watch.batches.Load() != batches+1 {
		t.Errorf("%v, %d messages", err, r.watch.batches.Load()-batches)
	}
}

// batchOf50 posts a batch. It returns false if the batch did not leave as one message with Flush. That may happen when the
// connection has to answer a PING or SETTINGS of its peer: then it sends what is queued as well.
func (r *rig) batchOf50(t *testing.T) bool {
	t.Helper()
	sent, batches := r.watch.sent.Load(), r.watch.batches.Load()
	var all []*received
	for i := range 50 {
		to, _ := r.post(t, fmt.Sprint(i), longEnough)
		all = append(all, to)
	}
	waited := r.watch.sent.Load() == sent
	r.Flush()
	for i, to := range all {
		<-to.done
		if to.body != fmt.Sprint(i) || to.out.Err != nil || !to.out.Positioned || to.out.Position != 7 {
			t.Errorf("%d: %q, %+v", i, to.body, to.out)
		}
	}
	sent, batches = r.watch.sent.Load()-sent, r.watch.batches.Load()-batches
	if sent != 50 {
		t.Errorf("%d requests in %d messages", sent, batches)
	}
	return waited && batches == 1
}

func TestAfterReceiveFollowsTheOutcomesOfAMessage(t *testing.T) {
	r := newRig(t, 1, honest)
	var outcomes, after atomic.Int32
	counted := make(chan int32, 10)
	r.cfg.AfterReceive = func() { after.Add(1); counted <- outcomes.Load() }
	for range 5 {
		if _, err := r.Post(&transport.Request{Budget: longEnough}, receiverFunc(func(*Outcome) { outcomes.Add(1) })); err != nil {
			t.Fatal(err)
		}
	}
	r.Flush()
	var n int32
	for n < 5 {
		n = <-counted
	}
	// The connection may have sent some of them before Flush, in a message of their own.
	if messages := r.watch.batches.Load(); n != 5 || int64(after.Load()) != messages {
		t.Errorf("after %d outcomes, %d times, of %d messages", n, after.Load(), messages)
	}
	r.follow(func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	late, _ := r.post(t, "x", time.Millisecond)
	if <-counted; late.outcomes.Load() != 1 {
		t.Error("called before the outcome of a request that is late")
	}
	lost, _ := r.post(t, "x", longEnough)
	r.follow(func(*peerLane, *hotpathv1.ExchangeRequest) error { return errors.New("told to") })
	r.Flush()
	if <-counted; lost.outcomes.Load() != 1 {
		t.Error("called before the outcome of a request that is lost")
	}
}

type receiverFunc func(*Outcome)

func (f receiverFunc) Receive(out *Outcome) { f(out) }

func TestOutcomesOfPostedRequests(t *testing.T) {
	tooLong := func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		p.send(&hotpathv1.ReplyFrame{Id: head(in).GetId(), TooLong: true})
		return nil
	}
	for name, c := range map[string]struct {
		peer    script
		budget  time.Duration
		code    codes.Code
		tooLong bool
	}{
		"a status": {func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
			p.send(&hotpathv1.ReplyFrame{Id: head(in).GetId(), Status: 5, StatusMessage: "none"})
			return nil
		}, longEnough, codes.NotFound, false},
		"the budget is over": {func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil }, time.Millisecond, codes.DeadlineExceeded, false},
		"the lane is lost":   {func(*peerLane, *hotpathv1.ExchangeRequest) error { return errors.New("x") }, longEnough, codes.Unavailable, false},
		"too long":           {tooLong, longEnough, codes.OK, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, c.peer)
			to, ticket := r.post(t, "x", c.budget)
			r.Flush()
			<-to.done
			if to.out.TooLong != c.tooLong || status.Code(to.out.Err) != c.code || len(to.body) > 0 {
				t.Errorf("got %+v", to.out)
			}
			if r.Cancel(ticket) {
				t.Error("cancelled after its outcome")
			}
			if len(r.large.asked()) != 0 {
				t.Error("asked again")
			}
			r.Close()
			if n := to.outcomes.Load(); n != 1 {
				t.Errorf("%d outcomes", n)
			}
		})
	}
}

func TestPostedLongRepliesComeWhole(t *testing.T) {
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		for _, frame := range echoLong(head(in), 3) {
			p.send(frame)
		}
		return nil
	})
	to, _ := r.post(t, "0123456789", longEnough)
	r.Flush()
	if <-to.done; to.body != "0123456789" || string(to.out.Before) != "012345678" {
		t.Errorf("got %q after %q", to.body, to.out.Before)
	}
}

func TestPostRefusesAtOnce(t *testing.T) {
	r := newRig(t, 1, func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	to := newReceived()
	if _, err := r.Post(&transport.Request{Index: 2, Budget: longEnough}, to); !errors.Is(err, transport.ErrRefused) {
		t.Errorf("a refused method: %v", err)
	}
	long := []byte(strings.Repeat("x", maxBodyBytes+1))
	if _, err := r.Post(&transport.Request{Budget: longEnough, Body: long}, to); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long request: %v", err)
	}
	for range maxInFlight {
		r.post(t, "x", longEnough)
	}
	if _, err := r.Post(&transport.Request{Budget: longEnough}, to); !errors.Is(err, transport.ErrBusy) {
		t.Errorf("full: %v", err)
	}
	r.Close()
	if _, err := r.Post(&transport.Request{Budget: longEnough}, to); status.Code(err) != codes.Unavailable {
		t.Errorf("closed: %v", err)
	}
	if to.outcomes.Load() != 0 || r.Cancel(Ticket{}) {
		t.Error("what was refused has an outcome, or can be cancelled")
	}
}

func TestCancelledRequestsHaveNoOutcome(t *testing.T) {
	cancelled := make(chan uint64, 1)
	var lane *peerLane
	r := newRig(t, 1, func(p *peerLane, in *hotpathv1.ExchangeRequest) error {
		lane = p
		for _, id := range in.GetCancelled() {
			cancelled <- id
		}
		return nil
	})
	to, ticket := r.post(t, "x", longEnough)
	r.Flush()
	if !r.Cancel(ticket) || r.Cancel(ticket) {
		t.Error("cancelled never, or twice")
	}
	r.Flush()
	if id := <-cancelled; id != ticket.id || r.inFlight() != 1 {
		t.Errorf("%#x is cancelled, not %#x; %d in flight", id, ticket.id, r.inFlight())
	}
	lane.send(&hotpathv1.ReplyFrame{Id: ticket.id, Body: []byte("late")})
	eventually(t, "freed", func() bool { return r.inFlight() == 0 })
	other, ticket := r.post(t, "never sent", longEnough)
	if !r.Cancel(ticket) {
		t.Error("not cancelled before it was sent")
	}
	r.Close()
	if to.outcomes.Load() != 0 || other.outcomes.Load() != 0 {
		t.Error("an outcome after Cancel")
	}
}

func TestReceiverThatPanicsCostsNobodyElse(t *testing.T) {
	r := newRig(t, 1, func(*peerLane, *hotpathv1.ExchangeRequest) error { return nil })
	panics := receiverFunc(func(*Outcome) { panic("told to") })
	for _, budget := range []time.Duration{time.Millisecond, longEnough} {
		if _, err := r.Post(&transport.Request{Budget: budget}, panics); err != nil {
			t.Fatal(err)
		}
		other, _ := r.post(t, "x", budget)
		if budget == longEnough {
			r.follow(func(*peerLane, *hotpathv1.ExchangeRequest) error { return errors.New("told to") })
		}
		r.Flush()
		<-other.done
	}
	eventually(t, "lost", func() bool { return r.watch.failures(Ended) == 1 })
	r.follow(honest)
	eventually(t, "open again", func() bool { _, err := r.ask(t.Context(), "x", longEnough); return err == nil })
	if _, err := r.Post(&transport.Request{Budget: longEnough}, panics); err != nil {
		t.Fatal(err)
	}
	r.Flush()
	eventually(t, "counted", func() bool { return r.watch.failures(Panicked) == 1 })
	eventually(t, "open again", func() bool { _, err := r.ask(t.Context(), "x", longEnough); return err == nil })
}

func TestPostedRequestsAllocateNothing(t *testing.T) {
	over := &Transport{cfg: Config{Peer: transport.Peer{Methods: []transport.Name{transport.NameOf(1)}}, Observer: &watched{},
		AfterReceive: func() {}}, began: time.Now(), grace: replyGrace}
	l := newLane(over, nil)
	over.lanes = []*lane{l}
	l.up(nil)
	request := &transport.Request{Budget: longEnough, Body: make([]byte, 20)}
	outcomes := 0
	to := receiverFunc(func(out *Outcome) { outcomes += len(out.Body) / len(request.Body) })
	var replies []byte
	if n := testing.AllocsPerRun(200, func() {
		for range 10 {
			if _, err := over.Post(request, to); err != nil {
				t.Fatal(err)
			}
		}
		message, _ := l.drain()
		replies = echoed(message, replies[:0])
		if err := l.deliver(replies); err != nil {
			t.Fatal(err)
		}
	}); n != 0 || outcomes != 2010 {
		t.Errorf("%v allocations, %d outcomes", n, outcomes)
	}
}

// poster posts and cancels batches. Each request must have one outcome, its own, or none if it was cancelled.
func poster(t *testing.T, r *rig, n int, roll func(int) int) {
	type posted struct {
		to        *received
		ticket    Ticket
		body      string
		cancelled bool
	}
	for batch := range 30 {
		var all []*posted
		for i := range 1 + roll(20) {
			p := &posted{to: newReceived(), body: fmt.Sprintf("%d/%d/%d %s", n, batch, i, strings.Repeat("x", roll(2000)*roll(2)))}
			var err error
			p.ticket, err = r.Post(&transport.Request{Index: 1, Method: "/a/b", Body: []byte(p.body),
				Budget: time.Duration(1+roll(20_000)) * time.Microsecond}, p.to)
			if err == nil {
				all = append(all, p)
			} else if status.Code(err) != codes.Unavailable && !errors.Is(err, transport.ErrBusy) {
				t.Errorf("post: %v", err)
			}
		}
		r.Flush()
		if roll(2) == 0 {
			time.Sleep(time.Duration(roll(2000)) * time.Microsecond)
		}
		for _, p := range all {
			p.cancelled = roll(5) == 0 && r.Cancel(p.ticket)
		}
		for _, p := range all {
			if p.cancelled {
				continue
			}
			<-p.to.done
			code := status.Code(p.to.out.Err)
			if code == codes.OK && !p.to.out.TooLong && p.to.body != p.body || code != codes.OK && p.to.body != "" {
				t.Errorf("poster %d got %.40q, %v for %.40q", n, p.to.body, p.to.out.Err, p.body)
			}
		}
		t.Cleanup(func() { // long after the last reply
			for _, p := range all {
				if got, want := p.to.outcomes.Load() == 1, !p.cancelled; got != want || p.to.outcomes.Load() > 1 {
					t.Errorf("%.40q has %d outcomes, cancelled %v", p.body, p.to.outcomes.Load(), p.cancelled)
				}
			}
		})
	}
}
