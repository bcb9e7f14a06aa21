package rollout

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

const (
	methodA = "/a.B/A"
	methodB = "/a.B/B"
)

func plan() Plan {
	return Plan{Stages: []int{5, 50, 100}, Methods: []string{methodA, methodB}, Hold: time.Minute, MaxP99Ratio: 1.1, MaxFallbackShare: 0.01,
		MinCompared: 100, Check: 10, OnFailure: Back, UnreachableFor: 30 * time.Second, Gap: 20 * time.Second}
}

// walk is a rollout under a fake clock.
type walk struct {
	*Rollout
	t   *testing.T
	now time.Time
}

func begin(t *testing.T, p Plan) *walk {
	t.Helper()
	w := &walk{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if w.Rollout, err = Begin(p, w.now); err != nil {
		t.Fatal(err)
	}
	return w
}

// after lets time pass, saves and loads the rollout, and makes a step.
func (w *walk) after(d time.Duration, o Observation) Decision {
	w.t.Helper()
	w.now = w.now.Add(d)
	text, err := json.Marshal(w.Rollout)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Rollout = new(Rollout)
	if err := errors.Join(json.Unmarshal(text, w.Rollout), w.Check()); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	return w.Step(w.now, o)
}

// good is what a stage without faults shows: n compared requests, as fast on both sides.
func good(n uint64) Observation { return timed(n, "0.0002", "0.0002") }

// timed is n compared requests which Go answered within a bound, and the sidecar within another.
func timed(n uint64, legacy, sidecar string) Observation {
	c := &Counts{}
	Add(&c.Compared, "equal", n)
	Add(&c.Requests, atSidecar, n)
	fill := func(family *map[string]uint64, took string) {
		for _, bound := range []string{"0.0002", "0.001", infinity} {
			Add(family, bound, 0)
			if bound == infinity || took != infinity && took <= bound {
				Add(family, bound, n)
			}
		}
	}
	fill(&c.Go, legacy)
	fill(&c.Sidecar, sidecar)
	return Observation{Grown: Tally{methodA: c}}
}

func counted(class string, n uint64) Observation {
	c := &Counts{}
	Add(&c.Compared, class, n)
	return Observation{Grown: Tally{methodB: c}}
}

func (w *walk) want(d Decision, kind Kind, stage int, why string) {
	w.t.Helper()
	if d.Kind != kind || d.Stage != stage || !strings.Contains(d.Why, why) {
		w.t.Fatalf("%+v; want %s, stage %d, %q", d, kind, stage, why)
	}
}

func TestAStagePassesWhenItWasHeldAndCompared(t *testing.T) {
	w := begin(t, plan())
	for stage := range 3 {
		// What is seen before two observations in a row show the stage does not count as evidence.
		w.want(w.after(time.Second, good(1000)), Wait, stage, "held for 0s of 1m0s")
		for range 3 {
			w.want(w.after(19*time.Second, good(20)), Wait, stage, "held for")
		}
		d := w.after(3*time.Second, good(20))
		w.want(d, Wait, stage, "but 80 of 100 requests are compared")
		if d.Need != Evidence {
			t.Fatalf("%+v", d)
		}
		w.want(w.after(time.Second, good(19)), Wait, stage, "but 99 of 100 requests are compared")
		kind, next := Advance, stage+1
		if stage == 2 {
			kind, next = Finish, stage
		}
		w.want(w.after(time.Second, good(1)), kind, next, "held 1m2s, 100 compared, 0 real, p99 ratio 1.00, 0 of 100 fell back; never compared: /a.B/B")
	}
	if w.State.Status != Done || len(w.Summaries()) != 3 || len(w.State.History) != 4 {
		t.Errorf("%+v", w.State)
	}
	w.want(w.after(time.Hour, counted("real", 1)), Wait, 2, "the last stage has passed")
}

func TestGatesEndThePlan(t *testing.T) {
	fallbacks := func(requests, fallen uint64) Observation {
		o := good(requests)
		Add(&o.Grown[methodA].Fallbacks, "hop_timeout", fallen)
		return o
	}
	for name, c := range map[string]struct {
		show   Observation
		cause  Cause
		status Status // on failure stop; on failure back it is RolledBack
		why    string
	}{
		"real":      {counted("real", 1), Mismatch, Failed, "1 real mismatches, at most 0: /a.B/B 1"},
		"demoted":   {Observation{Demoted: "x demoted y"}, Demoted, Failed, "x demoted y"},
		"killed":    {Observation{Killed: "the kill file"}, Killed, Failed, "the kill file"},
		"slow":      {timed(100, "0.0002", "0.001"), Slow, Held, "the sidecar's p99 is 5.010 times Go's, at most 1.1, all methods together"},
		"beyond":    {timed(100, infinity, infinity), Slow, Held, "above the highest bound"},
		"fallbacks": {fallbacks(100, 2), Fallen, Held, "2 of 102 forwarded requests fell back, at most 1% (hop_timeout 2)"},
		"no answer": {fallbacks(0, 2), Fallen, Held, "2 of 2 forwarded"},
	} {
		for _, on := range []OnFailure{Back, Stop} {
			p := plan()
			p.OnFailure = on
			w := begin(t, p)
			w.after(time.Second, Observation{})
			kind, status := GoBack, RolledBack
			if on == Stop {
				kind, status = Halt, c.status
			}
			d := w.after(time.Second, c.show)
			if w.want(d, kind, 0, c.why); w.State.Status != status || w.State.Cause != c.cause || w.State.Applied != (on == Stop) {
				t.Errorf("%s, %s: %+v", name, on, w.State)
			}
			if got := w.Summaries()[0].Outcome; got != string(c.cause) {
				t.Errorf("%s: outcome %q", name, got)
			}
			err := w.Resume(w.now)
			if (err == nil) != (w.State.Status == Running) || (err == nil) != (status == Held) || err != nil && !errors.Is(err, ErrEnded) {
				t.Errorf("%s, %s: resumed: %v", name, on, err)
			}
			if err := w.Check(); err != nil {
				t.Errorf("%s, %s: %v", name, on, err)
			}
		}
	}
}

func TestFewFirstFallbacksEndNoPlan(t *testing.T) {
	w := begin(t, plan())
	w.after(time.Second, Observation{})
	one := good(1)
	Add(&one.Grown[methodA].Fallbacks, "busy", 1)
	w.want(w.after(time.Second, one), Wait, 0, "held for 1s")
	for range 3 {
		w.want(w.after(20*time.Second, good(30)), Wait, 0, "")
	}
	w.want(w.after(time.Second, good(9)), Advance, 1, "1 of 101 fell back")
	// Half of the requests may fall back if the stage is short of requests, but then it does not pass.
	w.after(time.Second, Observation{})
	late := good(10)
	late.Grown[methodA].Compared["equal"] = 200
	late.Grown[methodA].Go[infinity], late.Grown[methodA].Sidecar[infinity] = 200, 200
	late.Grown[methodA].Go["0.0002"], late.Grown[methodA].Sidecar["0.0002"] = 200, 200
	Add(&late.Grown[methodA].Fallbacks, "busy", 1)
	w.want(w.after(time.Second, late), Wait, 1, "")
	w.after(20*time.Second, Observation{})
	w.after(20*time.Second, Observation{})
	w.want(w.after(20*time.Second, Observation{}), GoBack, 1, "1 of 11 forwarded")
}

func TestTooFewOrUntimedRequestsAreNotJudgedAndNotEnough(t *testing.T) {
	w := begin(t, plan())
	w.after(time.Second, Observation{})
	for range 4 {
		w.want(w.after(20*time.Second, timed(24, "0.0002", "0.001")), Wait, 0, "")
	}
	w.want(w.after(time.Second, counted("equal", 1000)), Wait, 0, "but 96 of 100 requests are compared")
	w.want(w.after(time.Second, timed(4, "0.0002", "0.001")), GoBack, 0, "times Go's")
}

// A method that is asked rarely must not hide behind a busy one.
func TestAMethodIsJudgedByItself(t *testing.T) {
	w := begin(t, plan())
	w.after(time.Second, Observation{})
	o := good(100_000)
	o.Grown[methodB] = timed(100, "0.0002", "0.001").Grown[methodA]
	w.want(w.after(time.Second, o), GoBack, 0, "5.010 times Go's, at most 1.1, /a.B/B")
}

func TestTheClockStandsStillWhileReplicasAreAway(t *testing.T) {
	w := begin(t, plan())
	w.after(time.Second, Observation{})
	w.after(15*time.Second, good(200))
	away := good(500)
	away.Away = "x cannot be asked"
	for range 2 {
		d := w.after(15*time.Second, away)
		if w.want(d, Wait, 0, "x cannot be asked"); d.Need != Replicas {
			t.Fatalf("%+v", d)
		}
	}
	w.want(w.after(time.Second, good(500)), Wait, 0, "held for 15s")
	w.want(w.after(15*time.Second, good(0)), Wait, 0, "held for 30s")
	if n := w.State.Counts.total().compared(); n != 200 {
		t.Errorf("%d compared", n)
	}
	w.after(15*time.Second, away)
	w.after(15*time.Second, away)
	w.want(w.after(time.Second, away), GoBack, 0, "x cannot be asked, for more than 30s")
	if w.State.Cause != Unreachable {
		t.Errorf("%+v", w.State)
	}
}

func TestWhatNobodyObservesDoesNotCount(t *testing.T) {
	w := begin(t, plan())
	w.after(time.Second, Observation{})
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 21 * time.Second} {
		w.want(w.after(jump, good(1000)), Wait, 0, "held for 0s")
	}
	if n := w.State.Counts.total().compared(); n != 0 {
		t.Errorf("%d compared", n)
	}
	away := Observation{Away: "x"}
	w.want(w.after(time.Hour, away), Wait, 0, "x") // nobody asked for an hour
	w.want(w.after(20*time.Second, good(0)), Wait, 0, "held for 0s")
	if o := counted("real", 1); w.after(time.Hour, o).Kind != GoBack {
		t.Error("a mismatch counts whenever it is seen")
	}
}

func TestSomebodyElsesModesAreLeftAlone(t *testing.T) {
	w := begin(t, plan())
	w.want(w.after(time.Second, Observation{Edited: "modes.toml says legacy"}), Halt, 0, "modes.toml says legacy")
	if w.State.Status != Failed || w.State.Cause != Edited || !w.State.Applied {
		t.Errorf("%+v", w.State)
	}
}

func TestWhatTheLedgerMovedPastIsNoEvidence(t *testing.T) {
	p := plan()
	p.Hold = 0
	w := begin(t, p)
	w.after(time.Second, Observation{})
	o := counted("moved", 1000)
	Add(&o.Grown[methodB].Dropped, "busy", 7)
	w.want(w.after(time.Second, o), Wait, 0, "0 of 100 requests are compared; 1000 more say nothing, because the ledger moved on; dropped: busy 7")
}

func TestMistakesNameTheSettingAndTheRule(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"stages []: must be 1 to 20":                             func(p *Plan) { p.Stages = []int{} },
		"stages 0: must be 1 to 100":                             func(p *Plan) { p.Stages = []int{0} },
		"stages 101: must be 1 to 100":                           func(p *Plan) { p.Stages = []int{101} },
		"stages 5: must be above the stage before it":            func(p *Plan) { p.Stages = []int{5, 5} },
		"stages 4: must be above the stage before it":            func(p *Plan) { p.Stages = []int{5, 4} },
		"must be 1 to 20 percentages":                            func(p *Plan) { p.Stages = make([]int, 21) },
		"methods 0: must be 1 to 256":                            func(p *Plan) { p.Methods = nil },
		"methods GetBalance: must be a full name":                func(p *Plan) { p.Methods[0] = "GetBalance" },
		"methods /a.B/A: is there twice":                         func(p *Plan) { p.Methods[1] = methodA },
		"hold -1s: must be 0s to 168h":                           func(p *Plan) { p.Hold = -time.Second },
		"hold 168h0m0.000000001s: must be":                       func(p *Plan) { p.Hold = MaxHold + 1 },
		"max-mismatch 1000001: must be":                          func(p *Plan) { p.MaxMismatch = MaxMismatches + 1 },
		"max-p99-ratio NaN: must be above 0":                     func(p *Plan) { p.MaxP99Ratio = math.NaN() },
		"max-fallback-share 1.5: must be 0 to 1":                 func(p *Plan) { p.MaxFallbackShare = 1.5 },
		"min-compared 0: must be 1 to":                           func(p *Plan) { p.MinCompared = 0 },
		"check 0: must be 1 to 100":                              func(p *Plan) { p.Check = 0 },
		"on-failure panic: must be back or stop":                 func(p *Plan) { p.OnFailure = "panic" },
		"unreachable-for 0s: must be 1s to 1h":                   func(p *Plan) { p.UnreachableFor = 0 },
		"gap 0s: must be above 0s":                               func(p *Plan) { p.Gap = 0 },
		"check 101: must be 1 to 100, the percentage of request": func(p *Plan) { p.Check = 101 },
	} {
		p := plan()
		change(&p)
		if _, err := Begin(p, time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestADamagedStateIsFound(t *testing.T) {
	for name, damage := range map[string]func(*State){
		"status": func(s *State) { s.Status = "odd" }, "stage": func(s *State) { s.Stage = 3 }, "before": func(s *State) { s.Stage = -1 },
		"past": func(s *State) { s.Past = make([]Summary, 2) }, "held": func(s *State) { s.Held = -1 },
		"held without a past": func(s *State) { s.Status = Held },
		"counts":              func(s *State) { s.Counts = Tally{methodA: nil} },
		"last":                func(s *State) { s.Last = map[string]Tally{"x": {methodA: nil}} },
	} {
		w := begin(t, plan())
		damage(&w.State)
		if err := w.Check(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := begin(t, plan())
	w.Plan.Stages = nil
	if err := w.Check(); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
