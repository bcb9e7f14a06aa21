package shimadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"hotpath.dev/go-shim/internal/rollout"
)

// mostPlanBytes bounds what each look at the page reads. It is far above the state of 20 replicas with 20 methods.
const mostPlanBytes = 16 << 20

// Plan says where a promotion by `hotpathctl plan` stands.
type Plan struct {
	// Error says why the file cannot be read. Then everything else is empty.
	Error string `json:"error"`
	// Status is "running", "held", "done", "failed" or "rolled back"; empty if no plan was begun.
	Status string `json:"status"`
	// Reason explains the last step, which was made at Since. Seen is when hotpathctl looked last.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Seen   time.Time `json:"seen"`
	// GapSeconds is how long hotpathctl takes from one look to the next at most, unless it does not run.
	GapSeconds float64  `json:"gap_seconds"`
	Methods    []string `json:"methods"`
	// Stage is the index of the stage that lasts, or in which the plan has ended.
	Stage  int         `json:"stage"`
	Stages []PlanStage `json:"stages"`
	// A stage passes once it was held for HoldSeconds with MinCompared comparisons, and no gate fails.
	HoldSeconds float64 `json:"hold_seconds"`
	MinCompared uint64  `json:"min_compared"`
	MaxP99Ratio float64 `json:"max_p99_ratio"`
}

// PlanStage is one stage of a plan.
type PlanStage struct {
	Percent int `json:"percent"`
	// Outcome is "passed", "lasts", what the plan has failed by, or empty before the stage begins.
	Outcome     string  `json:"outcome"`
	HeldSeconds float64 `json:"held_seconds"`
	Compared    uint64  `json:"compared"`
	Real        uint64  `json:"real"`
	// P99Ratio is the sidecar's p99 over Go's: a number, "-" if unknown, or "beyond" if above the highest bound.
	P99Ratio  string `json:"p99_ratio"`
	Forwarded uint64 `json:"forwarded"`
	Fallbacks uint64 `json:"fallbacks"`
}

// planOf reads a state file. Its mistakes are part of the plan, so that the rest of the page is there without it.
func planOf(path string) *Plan {
	if path == "" {
		return nil
	}
	r, err := readPlan(path)
	switch {
	case err != nil:
		return &Plan{Error: fmt.Sprintf("the state of the plan cannot be read: %v", err), Methods: []string{}, Stages: []PlanStage{}}
	case r == nil:
		return &Plan{Methods: []string{}, Stages: []PlanStage{}}
	}
	return summary(r)
}

func summary(r *rollout.Rollout) *Plan {
	s, p := &r.State, &r.Plan
	plan := &Plan{
		Status: string(s.Status), Reason: s.Reason, Since: s.Began, Seen: s.Seen, GapSeconds: p.Gap.Seconds(), Methods: p.Methods, Stage: s.Stage,
		HoldSeconds: p.Hold.Seconds(), MinCompared: p.MinCompared, MaxP99Ratio: p.MaxP99Ratio,
	}
	if n := len(s.History); n > 0 {
		plan.Since = s.History[n-1].At
	}
	for _, one := range r.Summaries() {
		outcome := one.Outcome
		if outcome == "" {
			outcome = "lasts"
		}
		plan.Stages = append(plan.Stages, PlanStage{one.Percent, outcome, one.Held.Seconds(), one.Compared, one.Real, one.Ratio, one.Forwarded, one.Fallbacks})
	}
	for _, percent := range p.Stages[len(plan.Stages):] {
		plan.Stages = append(plan.Stages, PlanStage{Percent: percent, P99Ratio: "-"})
	}
	return plan
}

// readPlan returns nil if no plan was begun: hotpathctl makes the file, empty at first.
func readPlan(path string) (*rollout.Rollout, error) {
	// Opening a pipe would wait for its writer.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > mostPlanBytes:
		return nil, fmt.Errorf("%s must be a regular file of at most %d MiB", path, mostPlanBytes>>20)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, mostPlanBytes))
	if err != nil || len(content) == 0 {
		return nil, err
	}
	var state struct {
		Version int
		Rollout *rollout.Rollout
	}
	if err = json.Unmarshal(content, &state); err == nil {
		switch {
		case state.Version != rollout.FileVersion:
			err = fmt.Errorf("it has version %d, not %d", state.Version, rollout.FileVersion)
		case state.Rollout == nil:
			err = errors.New("it is not the state of a plan")
		default:
			err = state.Rollout.Check()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return state.Rollout, nil
}
