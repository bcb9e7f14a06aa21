package shim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimtest"
)

func TestOfTwoTheOtherTakesOverAndTheFirstStandsByThen(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		s.events = 10
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked, takeOvers := p.side.Status().Asked, p.metric(t, "hotpath_shim_takeovers_total")
		for round := range 3 {
			p.wantOnly(t, fmt.Sprint("SIDECAR ", asked))
			p.of[asked].Stop()
			// Nobody waits until the loss is noticed.
			p.wantOnly(t, fmt.Sprint("SIDECAR ", 1-asked))
			p.awaitAsked(t, 1-asked)
			p.ledger.Append([]byte("while it was away"))
			p.start(t, p.config.Socket, asked)
			p.awaitBoth(t)
			if n := len(p.of[asked].Events()); n != 11+round {
				t.Fatalf("the one that stands by was fed %d events", n)
			}
			p.wantOnly(t, fmt.Sprint("SIDECAR ", 1-asked))
			p.awaitAsked(t, 1-asked)
			asked = 1 - asked
			if n := p.metric(t, "hotpath_shim_takeovers_total"); n != takeOvers+float64(round+1) {
				t.Fatalf("%v take-overs after round %d, %v before", n, round, takeOvers)
			}
		}
		if n := p.metric(t, "hotpath_shim_requests_total", "served_by", "legacy"); n != 0 || len(p.local.served()) != 0 {
			t.Errorf("%v requests were answered locally", n)
		}
		if !p.log.has(`msg="another sidecar is asked from now on"`) || !p.log.has("sidecar=0") || !p.log.has("sidecar=1") {
			t.Errorf("the log does not name them:\n%s", p.log)
		}
	})
}

// The waits are long, so that a slow machine is not taken for a sidecar that hangs.
const hungHop = 3 * time.Second

func TestOfTwoOneThatHangsIsLeftAndProbedByCopies(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		s.config = func(c *shim.Config) {
			c.HopTimeout = hungHop
			c.Breaker = shim.Breaker{Failures: 1, MinBackoff: 10 * time.Millisecond, MaxBackoff: 10 * time.Millisecond}
		}
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		hung := p.of[asked]
		hung.Answer(script(shimtest.Answer{Hang: true}))
		if who := p.ask(t, t.Context()); who != fmt.Sprint("SIDECAR ", 1-asked) {
			t.Fatalf("answered by %s", who)
		}
		p.awaitAsked(t, 1-asked)
		if n := p.metric(t, "hotpath_shim_asked_again_total", "sidecar", fmt.Sprint(asked), "reason", "hop_timeout"); n != 1 {
			t.Fatalf("%v requests were asked again", n)
		}
		// From now on nobody waits for it: copies find out whether it is well again.
		probed := func() bool {
			began := time.Now()
			who := p.ask(t, t.Context())
			if took := time.Since(began); who != fmt.Sprint("SIDECAR ", 1-asked) || took >= hungHop {
				t.Fatalf("answered by %s after %v", who, took)
			}
			return len(hung.Calls()) >= 2
		}
		eventually(t, "a copy is asked", probed)
		if !p.side.Status().Sidecars[asked].BreakerOpen {
			t.Fatal("its breaker is closed")
		}
		hung.Answer(numbered(t, asked))
		eventually(t, "it is well again", func() bool { return probed() && !p.side.Status().Sidecars[asked].BreakerOpen })
		p.wantOnly(t, fmt.Sprint("SIDECAR ", 1-asked))
		p.awaitAsked(t, 1-asked)
		if n := len(p.local.served()); n != 0 {
			t.Errorf("%d requests were answered locally", n)
		}
	})
}

// Both are well but for one method each. Then none is better, and each method goes where it is answered.
func TestOfTwoEachMethodGoesWhereItIsAnswered(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		s.config = func(c *shim.Config) {
			c.Methods, c.HopTimeout = append(c.Methods, batched), hungHop
			c.Breaker = shim.Breaker{Failures: 1, MinBackoff: 10 * time.Millisecond, MaxBackoff: 10 * time.Millisecond}
		}
		p := newPair(t, door, s, func(i int, s *shimtest.Sidecar) {
			if i == 1 {
				s.RefuseMethod(batched, "another schema")
			}
		})
		p.awaitBoth(t)
		p.awaitAsked(t, 0)
		p.of[0].Answer(func(call shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: call.Method == unaryCall} })
		eventually(t, "a breaker is open", func() bool {
			if who := p.ask(t, t.Context()); who != "SIDECAR 1" {
				t.Fatalf("answered by %s", who)
			}
			return p.side.Status().Sidecars[0].BreakerOpen
		})
		hung := func() (n int) {
			for _, call := range p.of[0].Calls() {
				if call.Method == unaryCall {
					n++
				}
			}
			return n
		}
		eventually(t, "a copy is asked, for which nobody waits", func() bool {
			began := time.Now()
			who := p.ask(t, t.Context())
			if took := time.Since(began); who != "SIDECAR 1" || took >= hungHop {
				t.Fatalf("answered by %s after %v", who, took)
			}
			if !p.batch(t) {
				t.Fatal("the other method is answered locally")
			}
			return hung() >= 2
		})
		p.awaitAsked(t, 0)
	})
}

func TestOfTwoOneThatRefusesIsLeft(t *testing.T) {
	for what, refuse := range map[string]func(*shimtest.Sidecar){
		"Hello": func(s *shimtest.Sidecar) {
			s.RefuseHello(shimtest.Refusal(codes.FailedPrecondition, "PROTOCOL_MISMATCH"))
		},
		"the method": func(s *shimtest.Sidecar) { s.RefuseMethod(unaryCall, "another schema") },
		"the feed":   func(s *shimtest.Sidecar) { s.Seed("another ledger") },
	} {
		t.Run(what, func(t *testing.T) {
			eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
				p := newPair(t, door, s, func(i int, s *shimtest.Sidecar) {
					if i == 0 {
						refuse(s)
					}
				})
				p.awaitAsked(t, 1)
				p.wantOnly(t, "SIDECAR 1")
			})
		})
	}
}

func TestOfTwoDeadOnesTheFirstToComeBackIsAsked(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		p.of[0].Stop()
		p.of[1].Stop()
		eventually(t, "both are lost", func() bool { return !p.ready(0) && !p.ready(1) })
		p.wantOnly(t, "LOCAL")
		if n := p.fallbacks(t, "not_ready"); n != 20 {
			t.Errorf("%v fallbacks for the reason", n)
		}
		back := 1 - p.side.Status().Asked
		p.start(t, p.config.Socket, back)
		eventually(t, "it is back", func() bool { return p.ready(back) })
		p.awaitAsked(t, back)
		eventually(t, "it answers", func() bool { return p.ask(t, t.Context()) == fmt.Sprint("SIDECAR ", back) })
	})
}

// The one that takes over may be behind what the first has answered already.
func TestATakeOverServesNoOlderPosition(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		s.events = 5
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		// It claims to have caught up, and then answers at the position before.
		p.of[1-asked].Answer(script(shimtest.Answer{Body: encode(t, response("TOO OLD")), Position: 4}))
		p.wantOnly(t, fmt.Sprint("SIDECAR ", asked))
		p.of[asked].Stop()
		for range 20 {
			if who := p.ask(t, t.Context()); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
		}
		if n := p.fallbacks(t, "wrong_position"); n == 0 {
			t.Error("nobody has looked at the position")
		}
		min := p.of[1-asked].Calls()
		if got := first(t, min).Want.Min; got != 5 {
			t.Errorf("the other is asked for position %d and later", got)
		}
	})
}

// No request may fail, or fall back, as long as one of the two is well.
func TestOfTwoUnderLoadOneAfterTheOtherDies(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var asked atomic.Int64
		for range 8 {
			group.Go(func() {
				for ctx.Err() == nil {
					reply, err := p.client.UnaryCall(t.Context(), requestOf("under load"))
					if who := reply.GetUsername(); err != nil || who != "SIDECAR 0" && who != "SIDECAR 1" {
						t.Errorf("answered by %q, %v", who, err)
						return
					}
					asked.Add(1)
				}
			})
		}
		more := func() {
			target := asked.Load() + 100
			eventually(t, "more is answered", func() bool { return asked.Load() >= target || t.Failed() })
		}
		for range 6 {
			more()
			i := p.side.Status().Asked
			p.of[i].Stop()
			more()
			p.start(t, p.config.Socket, i)
			p.awaitBoth(t)
		}
		cancel()
		group.Wait()
		if n := len(p.local.served()); n != 0 {
			t.Errorf("%d requests of %d were answered locally; log:\n%s", n, asked.Load(), p.log)
		}
	})
}

// oracle says in one line who has to be asked: the one that is, as long as it lives; then the other one, if it lives.
func oracle(asked int, alive [2]bool) (next int, answers string) {
	if !alive[asked] && alive[1-asked] {
		asked = 1 - asked
	}
	if !alive[asked] {
		return asked, "LOCAL"
	}
	return asked, fmt.Sprint("SIDECAR ", asked)
}

func TestOfTwoTheOneIsAskedThatTheOracleNames(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 0))
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked, alive := p.side.Status().Asked, [2]bool{true, true}
		for step := range 20 {
			i := random.IntN(2)
			if alive[i] = !alive[i]; alive[i] {
				p.start(t, p.config.Socket, i)
				if p.config.Experiment.Hop == experiment.Batched {
					eventually(t, "it has a lane", func() bool { return p.metric(t, "hotpath_shim_lanes", "sidecar", fmt.Sprint(i)) > 0 })
				}
			} else {
				p.of[i].Stop()
			}
			eventually(t, fmt.Sprintf("seed %d, step %d: %d is ready: %v", seed, step, i, alive[i]), func() bool { return p.ready(i) == alive[i] })
			var answers string
			asked, answers = oracle(asked, alive)
			p.awaitAsked(t, asked)
			for range 3 {
				if who := p.ask(t, t.Context()); who != answers {
					t.Fatalf("seed %d, step %d: answered by %s, want %s; log:\n%s", seed, step, who, answers, p.log)
				}
			}
		}
	})
}

// The second hop leaves the service half of what the first has left.
func TestOfTwoTheOtherGetsHalfOfTheTimeThatIsLeft(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		p.of[asked].Answer(script(shimtest.Answer{Hang: true}))
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if who := p.ask(t, ctx); who != fmt.Sprint("SIDECAR ", 1-asked) {
			t.Fatalf("answered by %s", who)
		}
		callers, _ := ctx.Deadline()
		if got := first(t, p.of[1-asked].Calls()).Deadline; !got.Before(callers) {
			t.Errorf("it may take until %v, the caller waits until %v", got, callers)
		}
	})
}

// What lies in the request is not tried twice.
func TestOfTwoOnlyOneIsAskedWhatTheOtherWouldNotAnswerEither(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		p.of[asked].Answer(script(shimtest.Answer{Unpositioned: true, Err: shimtest.Refusal(codes.Internal, "PANIC")}))
		if who := p.ask(t, t.Context()); who != "LOCAL" {
			t.Fatalf("answered by %s", who)
		}
		if n := len(p.of[1-asked].Calls()); n != 0 || p.metric(t, "hotpath_shim_asked_again_total") != 0 {
			t.Fatalf("the other one was asked %d times", n)
		}
	})
}

// A request is tried once at each.
func TestOfTwoNeitherIsAskedTwice(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		for _, one := range p.of {
			one.Answer(script(shimtest.Answer{Unpositioned: true, Err: status.Error(codes.Unavailable, "draining")}))
		}
		if who := p.ask(t, t.Context()); who != "LOCAL" || len(p.of[0].Calls()) != 1 || len(p.of[1].Calls()) != 1 {
			t.Fatalf("answered by %s after %d and %d hops", who, len(p.of[0].Calls()), len(p.of[1].Calls()))
		}
		again, local := p.metric(t, "hotpath_shim_asked_again_total"), p.fallbacks(t, "unavailable")
		if again != 1 || local != 1 || p.metric(t, "hotpath_shim_fallbacks_total") != 1 {
			t.Errorf("%v asked again, %v fallbacks for the reason", again, local)
		}
	})
}

func TestTwoAreSupervised(t *testing.T) {
	r := supervised(t, "", func(c *shim.Config) { c.Sidecars = 2 })
	eventually(t, "both are ready", func() bool {
		now := r.side.Status().Sidecars
		return now[0].Ready && now[1].Ready
	})
	before := r.side.Status()
	if one, other := before.Sidecars[0], before.Sidecars[1]; one.SidecarPID == other.SidecarPID || one.Socket+".1" != other.Socket {
		t.Fatalf("they are %+v and %+v", one, other)
	}
	if err := syscall.Kill(before.SidecarPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is started again, and no request falls back meanwhile", func() bool {
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatalf("answered by %s", who)
		}
		now := r.side.Status().Sidecars[before.Asked]
		return now.Ready && now.SidecarPID != before.SidecarPID && now.SidecarPID != 0
	})
	if now := r.side.Status(); now.Asked == before.Asked {
		t.Error("the first is asked again")
	}
	if n := r.metric(t, "hotpath_shim_sidecar_restarts_total", "sidecar", fmt.Sprint(before.Asked)); n != 1 {
		t.Errorf("%v restarts", n)
	}
	pids := [2]int{r.side.Status().Sidecars[0].SidecarPID, r.side.Status().Sidecars[1].SidecarPID}
	if err := r.side.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left behind", pid)
		}
	}
}

// Whoever leaves while the other one is asked leaves that one.
func TestOfTwoTheOtherHearsOfACallerThatLeaves(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		other := p.of[1-asked]
		p.of[asked].Answer(script(shimtest.Answer{Drop: true}))
		other.Answer(script(shimtest.Answer{Hang: true}))
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := p.client.UnaryCall(ctx, requestOf("a"))
			left <- err
		}()
		eventually(t, "the other one is asked", func() bool { return len(other.Calls()) == 1 })
		cancel()
		if err := <-left; status.Code(err) != codes.Canceled {
			t.Fatalf("got %v", err)
		}
		eventually(t, "it hears of it", func() bool {
			return p.metric(t, "hotpath_shim_lane_in_flight", "sidecar", fmt.Sprint(1-asked)) == 0
		})
		if !time.Now().Before(other.Calls()[0].Deadline) {
			t.Fatal("its time was over")
		}
		if p.side.Status().Sidecars[1-asked].BreakerOpen || len(p.local.served()) != 0 {
			t.Error("it is held against the sidecar, or the service was asked for nobody")
		}
	})
}

// A long request and a long reply go by a unary call, and must find the other sidecar too.
func TestOfTwoTheOtherGetsLongRequestsToo(t *testing.T) {
	eachWay(t, func(t *testing.T, s setup, door shim.FrontDoor) {
		p := newPair(t, door, s)
		p.awaitBoth(t)
		asked := p.side.Status().Asked
		p.of[asked].Answer(script(shimtest.Answer{Drop: true}))
		long := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 100_000)}}
		reply, err := p.client.UnaryCall(t.Context(), long)
		if err != nil || reply.GetUsername() != fmt.Sprint("SIDECAR ", 1-asked) {
			t.Fatalf("answered by %q, %v", reply.GetUsername(), err)
		}
	})
}
