package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Kind is what to do now.
type Kind string

const (
	// Wait changes nothing.
	Wait Kind = "wait"
	// Advance writes the modes of the next stage.
	Advance Kind = "advance"
	// Finish ends the plan, because its last stage has passed. The modes stay.
	Finish Kind = "finish"
	// Halt ends the plan, and the modes stay as they are.
	Halt Kind = "stop"
	// GoBack ends the plan and takes the methods from the sidecar.
	GoBack Kind = "go back"
)

// Need is what a plan waits for.
type Need string

const (
	// Time means that the stage is not held for long enough yet.
	Time Need = "time"
	// Evidence means that the hold has passed and too few requests are compared.
	Evidence Need = "evidence"
	// Replicas means that some cannot be asked, or are not in the stage.
	Replicas Need = "replicas"
)

// Decision is what a Step decided.
type Decision struct {
	Kind Kind
	// Stage is the one from now on, counted from 0.
	Stage int
	// Need is set if Kind is Wait and the plan runs.
	Need Need
	// Why explains it in a line.
	Why string
}

// Step takes an observation in and decides. A plan that does not run decides to wait.
func (r *Rollout) Step(now time.Time, o Observation) Decision {
	s := &r.State
	now = wall(now)
	if s.Status != Running {
		return Decision{Kind: Wait, Stage: s.Stage, Why: s.Reason}
	}
	r.take(now, o)
	if cause, why := r.judge(o); cause != "" {
		return r.fail(now, cause, why)
	}
	if need, why := r.missing(o); need != "" {
		return Decision{Kind: Wait, Stage: s.Stage, Need: need, Why: why}
	}
	if cause, why := r.gates(s.Counts.total(), true); cause != "" {
		return r.fail(now, cause, why)
	}
	switch {
	case s.Stage == len(r.Plan.Stages)-1:
		why := "the last stage has passed: " + r.account()
		r.end(now, Done, "", "passed", why)
		return Decision{Kind: Finish, Stage: s.Stage, Why: why}
	default:
		why := fmt.Sprintf("%d%% has passed: %s", r.Percent(), r.account())
		s.Past = append(s.Past, r.summary("passed"))
		r.enter(now, s.Stage+1, why)
		return Decision{Kind: Advance, Stage: s.Stage, Why: why}
	}
}

// take adds to the counts and the clocks.
func (r *Rollout) take(now time.Time, o Observation) {
	s := &r.State
	// A wall clock may be set back, or jump ahead; neither is time that was observed.
	passed := now.Sub(s.Seen)
	observed := passed >= 0 && passed <= r.Plan.Gap
	if !observed {
		passed = 0
	}
	if s.Counts == nil {
		s.Counts = make(Tally)
	}
	settled := o.Away == ""
	counted := settled && s.Settled && observed
	s.Seen, s.Settled = now, settled
	if settled {
		s.Away = 0
	} else {
		s.Away += passed
	}
	if counted {
		s.Held += passed
		s.Counts.add(o.Grown)
		return
	}
	for method, c := range o.Grown {
		Add(&s.Counts.Of(method).Compared, classReal, c.real())
	}
}

// judge returns why the plan must end, if it must.
func (r *Rollout) judge(o Observation) (Cause, string) {
	s, all := &r.State, r.State.Counts.total()
	switch {
	case o.Killed != "":
		return Killed, o.Killed
	case o.Demoted != "":
		return Demoted, o.Demoted
	case all.real() > r.Plan.MaxMismatch:
		return Mismatch, fmt.Sprintf("%d real mismatches, at most %d%s", all.real(), r.Plan.MaxMismatch, r.where())
	case o.Edited != "":
		return Edited, o.Edited
	case s.Away > r.Plan.UnreachableFor:
		return Unreachable, fmt.Sprintf("%s, for more than %v", o.Away, r.Plan.UnreachableFor)
	}
	if cause, why := r.gates(all, false); cause != "" {
		return cause, why + ", all methods together"
	}
	for _, method := range r.Plan.Methods {
		if c := s.Counts[method]; c != nil {
			if cause, why := r.gates(c, false); cause != "" {
				return cause, why + ", " + method
			}
		}
	}
	return "", ""
}

// gates judges the fallbacks and the ratio of p99. Until the stage would pass, fallbacks are too many only if they were so
// among MinCompared requests as well: then a few of the first ones end no plan, and a sidecar that answers nothing, and so
// leaves nothing to compare, ends it soon.
func (r *Rollout) gates(c *Counts, passes bool) (Cause, string) {
	p := &r.Plan
	among := c.forwarded()
	if !passes {
		among = max(among, p.MinCompared)
	}
	if float64(sum(c.Fallbacks)) > p.MaxFallbackShare*float64(among) {
		return Fallen, fmt.Sprintf("%d of %d forwarded requests fell back, at most %g%% (%s)", sum(c.Fallbacks), c.forwarded(),
			100*p.MaxFallbackShare, most(c.Fallbacks))
	}
	if ratio, known := c.ratio(); known && c.timed() >= p.MinCompared && ratio > p.MaxP99Ratio {
		if math.IsInf(ratio, 1) {
			return Slow, "the sidecar's p99 is above the highest bound of the histogram"
		}
		return Slow, fmt.Sprintf("the sidecar's p99 is %.3f times Go's, at most %g", ratio, p.MaxP99Ratio)
	}
	return "", ""
}

// where names the methods with real mismatches.
func (r *Rollout) where() string {
	found := make(map[string]uint64)
	for method, c := range r.State.Counts {
		if n := c.real(); n > 0 {
			found[method] = n
		}
	}
	return ": " + most(found)
}

// missing returns what the stage needs before it passes.
func (r *Rollout) missing(o Observation) (Need, string) {
	s, p, all := &r.State, &r.Plan, r.State.Counts.total()
	evidence := min(all.compared(), all.timed())
	switch {
	case o.Away != "":
		return Replicas, o.Away
	case s.Held < p.Hold:
		return Time, fmt.Sprintf("held for %v of %v", s.Held.Round(time.Second), p.Hold)
	case evidence < p.MinCompared:
		why := fmt.Sprintf("the hold has passed, but %d of %d requests are compared", evidence, p.MinCompared)
		if other := sum(all.Compared) - all.compared(); other > 0 {
			why += fmt.Sprintf("; %d more say nothing, because the ledger moved on", other)
		}
		if sum(all.Dropped) > 0 {
			why += fmt.Sprintf("; dropped: %s", most(all.Dropped))
		}
		return Evidence, why
	default:
		return "", ""
	}
}

// account says in a line how the stage went.
func (r *Rollout) account() string {
	one := r.summary("")
	text := fmt.Sprintf("held %v, %d compared, %d real, p99 ratio %s, %d of %d fell back", one.Held.Round(time.Second), one.Compared,
		one.Real, one.Ratio, one.Fallbacks, one.Forwarded)
	var unknown []string
	for _, method := range r.Plan.Methods {
		if c := r.State.Counts[method]; c == nil || c.compared() == 0 {
			unknown = append(unknown, method)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		text += "; never compared: " + strings.Join(unknown, ", ")
	}
	return text
}

func (r *Rollout) fail(now time.Time, cause Cause, why string) Decision {
	status, kind := Held, Halt
	switch {
	case cause == Edited:
		// Somebody has decided otherwise, and whoever that is knows more.
		status = Failed
	case r.Plan.OnFailure == Back:
		status, kind = RolledBack, GoBack
	case cause == Mismatch || cause == Demoted || cause == Killed:
		status = Failed
	}
	r.end(now, status, cause, string(cause), why)
	return Decision{Kind: kind, Stage: r.State.Stage, Why: why}
}
