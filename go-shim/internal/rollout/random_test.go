package rollout

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// world is some replicas that compare, restart, vanish and fail, by a seed. It keeps its own books of what a plan may do.
type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	now    time.Time
	r      *Rollout
	tally  []Tally
	// faults is how often, in 1000 steps, something goes wrong.
	faults int
	// settled says whether the last look showed all replicas in the stage, and held for how long it was so. reals and seen are
	// what was shown in this stage.
	settled     bool
	held        time.Duration
	reals, seen uint64
}

const replicas = 3

func newWorld(t *testing.T, seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 7))
	p := plan()
	p.Stages = nil
	for percent := 1 + random.IntN(40); percent <= 100; percent += 1 + random.IntN(40) {
		p.Stages = append(p.Stages, percent)
	}
	p.Hold = time.Duration(random.IntN(120)) * time.Second
	p.MaxMismatch, p.MinCompared = uint64(random.IntN(3)), 1+uint64(random.IntN(300))
	if random.IntN(2) == 0 {
		p.OnFailure = Stop
	}
	w := &world{t: t, seed: seed, random: random, now: time.Unix(1_700_000_000, 0), tally: make([]Tally, replicas), faults: random.IntN(30)}
	var err error
	if w.r, err = Begin(p, w.now); err != nil {
		t.Fatal(err)
	}
	for i := range w.tally {
		w.tally[i] = make(Tally)
	}
	w.r.Observe(w.look(false))
	return w
}

func (w *world) fatal(format string, a ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, stage %d: %s", w.seed, w.r.State.Stage, fmt.Sprintf(format, a...))
}

func (w *world) rarely() bool { return w.random.IntN(1000) < w.faults }

// look lets the replicas work, and asks them. What a process did since the last look is lost to any observer if it restarts.
func (w *world) look(work bool) (sights []Sight) {
	for i, tally := range w.tally {
		name := fmt.Sprint("replica ", i)
		restarts := w.rarely()
		if restarts {
			tally = make(Tally)
			w.tally[i] = tally
		}
		sample := Sample{Tally: tally, Percent: make(map[string]int), Killed: w.random.IntN(20) == 0 && w.rarely()}
		for _, method := range w.r.Plan.Methods {
			sample.Percent[method] = w.r.Percent()
			if work {
				w.work(tally.Of(method))
			}
		}
		if w.rarely() {
			sample.Percent[methodA]--
		}
		if w.rarely() && work {
			sights = append(sights, Sight{Replica: name, Err: ErrEmpty})
			continue
		}
		sights = append(sights, Sight{Replica: name, Sample: sample})
	}
	return sights
}

func (w *world) work(c *Counts) {
	n := uint64(w.random.IntN(30))
	Add(&c.Compared, "equal", n)
	Add(&c.Compared, "moved", uint64(w.random.IntN(3)))
	Add(&c.Requests, atSidecar, n)
	Add(&c.Go, "0.001", n)
	Add(&c.Go, infinity, n)
	Add(&c.Sidecar, "0.001", n)
	Add(&c.Sidecar, infinity, n)
	if w.rarely() {
		Add(&c.Compared, classReal, 1)
	}
	if w.rarely() {
		Add(&c.Fallbacks, "busy", 1+uint64(w.random.IntN(20)))
	}
}

// step makes an observation, decides, and checks the decision by the books. Sometimes another rollout, saved and loaded
// before, has to decide the same, and goes on in the place of the first.
func (w *world) step() Decision {
	passed := time.Duration(w.random.IntN(5000)) * time.Millisecond
	if w.rarely() {
		passed = time.Duration(w.random.IntN(300)-100) * time.Second
	}
	w.now = w.now.Add(passed)
	before, plan := w.r.State.Stage, w.r.Plan
	began := w.r.State.Status
	sights := w.look(true)
	var twin *Rollout
	if w.random.IntN(8) == 0 {
		twin = w.copied(w.r)
	}
	o := w.r.Observe(sights)
	for _, c := range o.Grown {
		for _, family := range c.families() {
			for label, n := range *family {
				if n > 1<<40 {
					w.fatal("%s has grown by %d", label, int64(n))
				}
			}
		}
	}
	w.count(o, max(passed, 0))
	d := w.r.Step(w.now, o)
	if twin != nil {
		if e := twin.Step(w.now, twin.Observe(sights)); !reflect.DeepEqual(d, e) || !reflect.DeepEqual(w.copied(w.r), w.copied(twin)) {
			w.fatal("loaded again it decides %+v, not %+v", e, d)
		}
		w.r = twin
	}
	if err := w.r.Check(); err != nil {
		w.fatal("%v", err)
	}
	w.check(d, o, before, began, plan)
	return d
}

func (w *world) count(o Observation, passed time.Duration) {
	settled := o.Away == ""
	if settled && w.settled {
		w.held += passed
	}
	w.settled = settled
	w.reals += o.Grown.total().real()
	w.seen += o.Grown.total().compared()
}

func (w *world) check(d Decision, o Observation, before int, began Status, p Plan) {
	switch {
	case began != Running && d.Kind != Wait:
		w.fatal("%s after the end: %+v", began, d)
	case began != Running:
	case d.Kind == Advance && d.Stage != before+1, d.Kind != Advance && d.Stage != before:
		w.fatal("from stage %d to %d", before, d.Stage)
	case w.reals > p.MaxMismatch && (d.Kind == Wait || d.Kind == Advance || d.Kind == Finish):
		w.fatal("%d mismatches, at most %d: %+v", w.reals, p.MaxMismatch, d)
	case o.Killed != "" && d.Kind != GoBack && d.Kind != Halt:
		w.fatal("killed: %+v", d)
	case (d.Kind == Advance || d.Kind == Finish) && (w.held < p.Hold || w.seen < p.MinCompared || o.Away != ""):
		w.fatal("held for %v of %v, %d of %d compared, away %q: %+v", w.held, p.Hold, w.seen, p.MinCompared, o.Away, d)
	case d.Kind == GoBack && p.OnFailure != Back, d.Why == "":
		w.fatal("%+v", d)
	}
	if d.Kind == Advance {
		w.settled, w.held, w.reals, w.seen = false, 0, 0, 0
	}
}

// copied returns a rollout after it was saved and loaded.
func (w *world) copied(r *Rollout) *Rollout {
	text, err := json.Marshal(r)
	if err != nil {
		w.fatal("%v", err)
	}
	other := new(Rollout)
	if err := json.Unmarshal(text, other); err != nil {
		w.fatal("%v: %s", err, text)
	}
	return other
}

func TestWhateverHappensThePlanKeepsItsRules(t *testing.T) {
	ends := make(map[Status]int)
	for seed := range uint64(120) {
		w := newWorld(t, seed)
		for range 150 {
			w.step()
		}
		if w.r.State.Status == Held {
			if err := w.r.Resume(w.now); err != nil || w.r.State.Status != Running {
				w.fatal("%v", err)
			}
			w.settled, w.held, w.reals, w.seen = false, 0, 0, 0
			for range 100 {
				w.step()
			}
		}
		ends[w.r.State.Status]++
	}
	// The seeds must lead everywhere, or else this test shows little.
	for _, status := range []Status{Done, RolledBack, Failed} {
		if ends[status] < 10 {
			t.Errorf("only %d ended as %s: %v", ends[status], status, ends)
		}
	}
}
