package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"hotpath.dev/go-shim/internal/rollout"
)

// say prints a line with the time and the stage.
func (w *walker) say(format string, a ...any) {
	fmt.Fprintf(w.out, "%s %4d%%  %s\n", stamp(w.now()), w.Rollout.Percent(), fmt.Sprintf(format, a...))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tell prints a decision, and what the plan waits for whenever that is something else.
func (w *walker) tell(d rollout.Decision) {
	before := w.need
	w.need = d.Need
	switch d.Kind {
	case rollout.Wait:
		switch {
		case d.Need == before:
		case d.Need == rollout.Time && before == "":
			w.say("all replicas are in the stage")
		case d.Need == rollout.Time:
			w.say("all replicas are in the stage again: %s", d.Why)
		default:
			w.say("waits: %s", d.Why)
		}
	case rollout.Advance:
		w.say("begins: %s", d.Why)
	case rollout.Finish:
		w.say("done: %s", d.Why)
	case rollout.Halt:
		w.say("stops, and the modes stay as they are: %s", d.Why)
	case rollout.GoBack:
		w.say("goes back to %s: %s", stageMode(0, w.Rollout.Plan.Check), d.Why)
	}
}

// table prints how the stages went.
func table(out io.Writer, r *rollout.Rollout) {
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\theld\tcompared\treal\tp99 ratio\tfallbacks\toutcome\t")
	for _, one := range r.Summaries() {
		outcome := one.Outcome
		if outcome == "" {
			outcome = "lasts"
		}
		share := "-"
		if one.Forwarded > 0 {
			share = fmt.Sprintf("%d (%.2f%%)", one.Fallbacks, 100*float64(one.Fallbacks)/float64(one.Forwarded))
		}
		fmt.Fprintf(t, "%d%%\t%v\t%d\t%d\t%s\t%s\t%s\t\n", one.Percent, one.Held.Round(time.Second), one.Compared, one.Real, one.Ratio, share,
			outcome)
	}
	_ = t.Flush()
}

// status prints where the plan of a state file stands.
func (p *planner) status(path string) error {
	state, err := load(path)
	switch {
	case err != nil:
		return err
	case state == nil:
		return failure{exitFile, fmt.Errorf("--state %s: there is no plan", path)}
	}
	r := state.Rollout
	fmt.Fprintf(p.out, "%s at %d%%: %s\n", r.State.Status, r.Percent(), r.State.Reason)
	fmt.Fprintf(p.out, "stages %v, hold %v, last look %s\n\n", r.Plan.Stages, r.Plan.Hold, stamp(r.State.Seen))
	table(p.out, r)
	fmt.Fprintln(p.out)
	for _, one := range r.State.History {
		fmt.Fprintf(p.out, "%s %4d%%  %s: %s\n", stamp(one.At), r.Plan.Stages[one.Stage], one.Status, one.Why)
	}
	return nil
}
