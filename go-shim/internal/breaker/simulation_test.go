package breaker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world simulates a sidecar under a fake clock, with callers that overlap. One seed determines everything.
type world struct {
	*Breakers
	*clock
	t      *testing.T
	seed   uint64
	random *rand.Rand
	// hung and lost say what is wrong with the whole sidecar now. bad says which methods are broken.
	hung, lost bool
	bad        []bool
	inFlight   []Ticket
	// state and until are what the breakers reported.
	state map[string]State
	until map[string]time.Time
}

const longest = 5 * time.Second

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{clock: &clock{now: time.Unix(0, 0)}, t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)),
		state: map[string]State{}, until: map[string]time.Time{}}
	cfg := Config{Failures: 1 + w.random.IntN(6), MinBackoff: 100 * time.Millisecond, MaxBackoff: longest, Now: w.read, Changed: w.changed,
		jitter: func(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }}
	for i := range 2 + w.random.IntN(4) {
		cfg.Methods = append(cfg.Methods, fmt.Sprint("method ", i))
	}
	w.Breakers, w.bad = New(cfg), make([]bool, len(cfg.Methods))
	return w
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// changed checks that each reported change begins where the last one ended.
func (w *world) changed(c Change) {
	if w.state[c.Breaker] != c.From || c.From == c.To || c.Why == "" {
		w.fatal("%s was %v: %+v", c.Breaker, w.state[c.Breaker], c)
	}
	if c.To == Open {
		if c.For < 50*time.Millisecond || c.For > longest {
			w.fatal("open for %v", c.For)
		}
		w.until[c.Breaker] = w.now.Add(c.For)
	}
	w.state[c.Breaker] = c.To
	if c.Breaker == Side && c.To == Closed {
		clear(w.until)
	}
}

func (w *world) probes(which func(Ticket) bool) int {
	n := 0
	for _, ticket := range w.inFlight {
		if which(ticket) {
			n++
		}
	}
	return n
}

// begin makes a call if the breakers allow it, and checks that they were right.
func (w *world) begin(method int) bool {
	before := map[string]State{Side: w.state[Side], w.cfg.Methods[method]: w.state[w.cfg.Methods[method]]}
	ticket, ok := w.Allow(method)
	if !ok {
		return false
	}
	w.inFlight = append(w.inFlight, ticket)
	for name, probe := range map[string]bool{Side: ticket.side.probe, w.cfg.Methods[method]: ticket.own.probe} {
		if probe != (before[name] != Closed) || probe && w.now.Before(w.until[name]) {
			w.fatal("%s is %v until %v, and at %v a call passes; as a probe: %v", name, before[name], w.until[name], w.now, probe)
		}
	}
	if n := w.probes(func(t Ticket) bool { return t.side.probe }); n > 1 {
		w.fatal("%d calls probe the side", n)
	}
	if n := w.probes(func(t Ticket) bool { return t.own.probe && t.method == uint16(method) }); n > 1 {
		w.fatal("%d calls probe a method", n)
	}
	return true
}

// end hands back the i-th ticket in flight.
func (w *world) end(i int) {
	ticket := w.inFlight[i]
	w.inFlight = slices.Delete(w.inFlight, i, i+1)
	switch dice := w.random.IntN(100); {
	case dice < 5:
		w.Abandon(ticket)
	case w.lost:
		w.Lost(ticket, "unavailable")
	case w.hung, w.bad[ticket.method] && dice < 50:
		w.Failure(ticket, "hop_timeout")
	case w.bad[ticket.method]:
		w.Doubt(ticket, "no_position")
	default:
		w.Success(ticket)
	}
}

func (w *world) step() {
	switch dice := w.random.IntN(10); {
	case dice < 4:
		w.begin(w.random.IntN(len(w.bad)))
	case dice < 8:
		if n := len(w.inFlight); n > 0 {
			w.end(w.random.IntN(n))
		}
	default:
		w.advance(time.Duration(w.random.Int64N(int64(300 * time.Millisecond))))
	}
}

// heals checks what must hold in every state: a sidecar that is well is asked again, for each method, within twice the
// longest wait.
func (w *world) heals() {
	w.hung, w.lost = false, false
	clear(w.bad)
	for len(w.inFlight) > 0 {
		w.end(0)
	}
	w.advance(2 * longest)
	for range 2 {
		for method := range w.bad {
			if ticket, ok := w.Allow(method); ok {
				w.Success(ticket)
			}
		}
	}
	if open := w.Open(); len(open) > 0 {
		w.fatal("still open: %q", open)
	}
}

const seeds = 60

func TestWhateverHappensProbesAreAloneAndAllHeals(t *testing.T) {
	for seed := range uint64(seeds) {
		w := newWorld(t, seed)
		for range 600 {
			if w.random.IntN(30) == 0 {
				w.hung, w.lost = w.random.IntN(3) == 0, w.random.IntN(5) == 0
				w.bad[w.random.IntN(len(w.bad))] = w.random.IntN(2) == 0
			}
			if w.random.IntN(300) == 0 {
				w.Reset("a new session")
			}
			w.step()
		}
		w.heals()
	}
}

func TestWhateverOneMethodDoesTheOthersPass(t *testing.T) {
	for seed := range uint64(seeds) {
		w := newWorld(t, seed)
		bad := w.random.IntN(len(w.bad))
		w.bad[bad] = true
		// In some worlds nobody calls the other methods, so that no success speaks for the side.
		lonely := w.random.IntN(2) == 0
		for range 600 {
			if method := w.random.IntN(len(w.bad)); method == bad || !lonely {
				if !w.begin(method) && method != bad {
					w.fatal("method %d is refused because of %d", method, bad)
				}
			}
			w.settle(lonely)
		}
		if w.state[Side] != Closed {
			w.fatal("the side is %v", w.state[Side])
		}
		for method := range w.bad {
			if method != bad && !w.begin(method) {
				w.fatal("method %d is refused because of %d", method, bad)
			}
		}
	}
}

// settle ends calls and lets time pass.
func (w *world) settle(often bool) {
	for len(w.inFlight) > 0 && (often || w.random.IntN(2) == 0) {
		w.end(w.random.IntN(len(w.inFlight)))
	}
	w.advance(time.Duration(w.random.Int64N(int64(300 * time.Millisecond))))
}

// In whatever order methods are called, one after the other, a sidecar that hangs costs at most one hop more than the
// number of failures that open a breaker. After that it costs one hop per wait.
func TestAHungSidecarCostsFewHops(t *testing.T) {
	for seed := range uint64(seeds) {
		w := newWorld(t, seed)
		w.hung = true
		hops := 0
		ask := func(method int) {
			if ticket, ok := w.Allow(method); ok {
				hops++
				w.Failure(ticket, "hop_timeout")
			}
		}
		first := w.random.IntN(len(w.bad))
		for range w.random.IntN(10) {
			ask(first)
		}
		for range 100 {
			ask(w.random.IntN(len(w.bad)))
		}
		if most := w.cfg.Failures + 1; w.state[Side] != Open || hops > most {
			w.fatal("%d hops, at most %d; the side is %v", hops, most, w.state[Side])
		}
		hops = 0
		const minute = 60
		for range minute * 100 {
			w.advance(10 * time.Millisecond)
			ask(w.random.IntN(len(w.bad)))
		}
		// Each wait is at least half of 100, 200, ... 3,200 ms, and then half of 5 s.
		if most := 6 + minute*2/5; hops > most {
			w.fatal("%d hops in a minute, at most %d", hops, most)
		}
		w.heals()
	}
}

// Two methods that fail and are called all the time must not keep out a third one that is called rarely.
func TestAGoodMethodAmongBadOnesIsServed(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		for method := 1; method < len(w.bad); method++ {
			w.bad[method] = true
		}
		asked, served := 0, 0
		for tick := range 60 * 100 * 5 { // of 10 ms
			w.advance(10 * time.Millisecond)
			method := 1 + tick%(len(w.bad)-1)
			if tick%700 == 699 {
				method, asked = 0, asked+1
			}
			ticket, ok := w.Allow(method)
			switch {
			case !ok:
			case method == 0:
				served++
				w.Success(ticket)
			default:
				w.Failure(ticket, "hop_timeout")
			}
		}
		if served*8 < asked {
			w.fatal("%d of %d served", served, asked)
		}
	}
}
