package rollout

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Status is where a plan stands.
type Status string

// The package comment says how these follow each other.
const (
	Running    Status = "running"
	Held       Status = "held"
	Done       Status = "done"
	Failed     Status = "failed"
	RolledBack Status = "rolled back"
)

// Cause says why a plan ended before its last stage passed. It is empty for one that runs or is done.
type Cause string

const (
	// Mismatch means more real mismatches than the plan allows.
	Mismatch Cause = "mismatch"
	// Demoted means that the shim itself took a method from the sidecar.
	Demoted Cause = "demoted"
	// Killed means that a kill file is there.
	Killed Cause = "killed"
	// Slow means that the sidecar's p99 is too far above Go's.
	Slow Cause = "slow"
	// Fallen means too many fallbacks.
	Fallen Cause = "fallbacks"
	// Unreachable means that replicas could not be asked, or were not in the stage, for too long.
	Unreachable Cause = "unreachable"
	// Edited means that somebody else changed the modes.
	Edited Cause = "edited"
)

// FileVersion is the version of the files in which hotpathctl keeps a Rollout, under the key rollout.
const FileVersion = 1

// mostHistory bounds the history, which only stages and resumes make longer.
const mostHistory = 200

// Transition is a change of the stage or of the status.
type Transition struct {
	At time.Time `json:"at"`
	// Stage counts from 0.
	Stage  int    `json:"stage"`
	Status Status `json:"status"`
	Why    string `json:"why"`
}

// Summary says how a stage went.
type Summary struct {
	Percent int       `json:"percent"`
	Began   time.Time `json:"began"`
	// Held is how long it was seen with all replicas in it.
	Held     time.Duration `json:"held_ns"`
	Compared uint64        `json:"compared"`
	Real     uint64        `json:"real"`
	// Ratio is the sidecar's p99 over Go's: a number, "-" if unknown, or "beyond" if above the highest bound.
	Ratio     string `json:"p99_ratio"`
	Forwarded uint64 `json:"forwarded"`
	Fallbacks uint64 `json:"fallbacks"`
	// Outcome is "passed", a Cause, or "" while the stage lasts.
	Outcome string `json:"outcome"`
}

// State is what a Rollout remembers. All times are UTC, by the wall clock, because it outlives processes.
type State struct {
	Status Status `json:"status"`
	Cause  Cause  `json:"cause,omitempty"`
	// Reason explains the last transition.
	Reason string `json:"reason"`
	// Stage counts from 0, and Began is when it did.
	Stage int       `json:"stage"`
	Began time.Time `json:"began"`
	// Applied says whether the modes of the stage, or those of going back, have been written. The caller sets it.
	Applied bool `json:"applied"`
	// Seen is when the last observation was made, and Settled whether it showed all replicas in the stage.
	Seen    time.Time `json:"seen"`
	Settled bool      `json:"settled"`
	// Held is how long the stage was seen with all replicas in it. Away is for how long not, since it last was.
	Held time.Duration `json:"held_ns"`
	Away time.Duration `json:"away_ns"`
	// Counts are those of this stage.
	Counts  Tally        `json:"counts,omitempty"`
	Past    []Summary    `json:"past,omitempty"`
	History []Transition `json:"history"`
	// Last holds the counters of each replica at its last observation.
	Last map[string]Tally `json:"last,omitempty"`
}

// Rollout is a plan that is being walked. It can be marshalled to JSON at any time and goes on the same when loaded again.
// It is not safe for concurrent use.
type Rollout struct {
	Plan  Plan  `json:"plan"`
	State State `json:"state"`
}

// ErrEnded is wrapped by the error of Resume for a plan that has ended for good.
var ErrEnded = errors.New("the plan has ended")

// ErrDamaged is wrapped by the error of Check.
var ErrDamaged = errors.New("the state is damaged")

// Begin starts a plan with its first stage. The error joins all Mistakes of the plan.
func Begin(plan Plan, now time.Time) (*Rollout, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	r := &Rollout{Plan: plan}
	r.State.Last = make(map[string]Tally)
	r.enter(wall(now), 0, "the plan begins")
	return r, nil
}

// wall drops what is lost in JSON.
func wall(now time.Time) time.Time { return now.UTC().Round(0) }

// Resume goes on with a plan that runs or is held. A stage that is held begins again.
func (r *Rollout) Resume(now time.Time) error {
	switch s := &r.State; s.Status {
	case Running:
		return nil
	case Held:
		s.Past, s.Cause = s.Past[:len(s.Past)-1], ""
		r.enter(wall(now), s.Stage, "resumed: the stage begins again")
		return nil
	default:
		return fmt.Errorf("%w: %s: %s", ErrEnded, s.Status, s.Reason)
	}
}

// Check returns an error for what Begin and Step cannot have made.
func (r *Rollout) Check() error {
	if err := r.Plan.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s := &r.State
	ended := slices.Contains([]Status{Held, Done, Failed, RolledBack}, s.Status)
	past := s.Stage
	if ended {
		past++ // the stage in which it ended is among the past ones
	}
	switch {
	case s.Status != Running && !ended:
		return fmt.Errorf("%w: unknown status %q", ErrDamaged, s.Status)
	case s.Stage < 0 || s.Stage >= len(r.Plan.Stages) || len(s.Past) != past || s.Held < 0 || s.Away < 0:
		return fmt.Errorf("%w: stage %d, %d past, held for %v", ErrDamaged, s.Stage, len(s.Past), s.Held)
	}
	for _, tally := range s.Last {
		for method, c := range tally {
			if c == nil {
				return fmt.Errorf("%w: no counts of %s", ErrDamaged, method)
			}
		}
	}
	for method, c := range s.Counts {
		if c == nil {
			return fmt.Errorf("%w: no counts of %s", ErrDamaged, method)
		}
	}
	return nil
}

// Percent is the percentage of the stage.
func (r *Rollout) Percent() int { return r.Plan.Stages[r.State.Stage] }

// Summaries says how the stages went, up to the one that lasts.
func (r *Rollout) Summaries() []Summary {
	all := slices.Clone(r.State.Past)
	if r.State.Status == Running {
		all = append(all, r.summary(""))
	}
	return all
}

func (r *Rollout) summary(outcome string) Summary {
	s, c := &r.State, r.State.Counts.total()
	return Summary{Percent: r.Percent(), Began: s.Began, Held: s.Held, Compared: c.compared(), Real: c.real(), Ratio: c.ratioText(),
		Forwarded: c.forwarded(), Fallbacks: sum(c.Fallbacks), Outcome: outcome}
}

func (c *Counts) ratioText() string {
	ratio, known := c.ratio()
	switch {
	case !known:
		return "-"
	case math.IsInf(ratio, 1):
		return "beyond"
	default:
		return fmt.Sprintf("%.2f", ratio)
	}
}

// enter begins a stage.
func (r *Rollout) enter(now time.Time, stage int, why string) {
	s := &r.State
	s.Status, s.Stage, s.Began, s.Seen = Running, stage, now, now
	s.Applied, s.Settled, s.Held, s.Away, s.Counts = false, false, 0, 0, make(Tally)
	r.note(now, why)
}

// end ends the plan in its stage. There is something to write only if it goes back.
func (r *Rollout) end(now time.Time, status Status, cause Cause, outcome, why string) {
	s := &r.State
	s.Past = append(s.Past, r.summary(outcome))
	s.Status, s.Cause, s.Applied = status, cause, status != RolledBack
	r.note(now, why)
}

func (r *Rollout) note(now time.Time, why string) {
	s := &r.State
	s.Reason = why
	s.History = append(s.History, Transition{now, s.Stage, s.Status, why})
	if extra := len(s.History) - mostHistory; extra > 0 {
		s.History = slices.Delete(s.History, 0, extra)
	}
}
