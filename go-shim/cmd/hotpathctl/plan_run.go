package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/rollout"
)

// walker walks one plan.
type walker struct {
	*planner
	*planState
	path string
	// need is what the last line said that the plan waits for.
	need rollout.Need
}

// begin starts a new plan.
func (p *planner) begin(ctx context.Context, s *settings) error {
	before, err := load(s.state)
	if err != nil {
		return err
	}
	if before != nil {
		if st := before.Rollout.State; st.Status == rollout.Running || st.Status == rollout.Held || !st.Applied {
			return mistake("--state %s: holds a plan that is %s at %d%%: go on with --resume, or remove the file to give that plan up",
				s.state, st.Status, before.Rollout.Percent())
		}
	}
	sights, err := p.first(ctx, s)
	if err != nil {
		return err
	}
	if err := s.choose(sights); err != nil {
		return err
	}
	if err := p.rehearse(s); err != nil {
		return err
	}
	made, err := rollout.Begin(s.plan, p.now())
	if err != nil {
		return failure{exitUsage, err}
	}
	// What the replicas counted before the plan is none of its business.
	made.Observe(sights)
	w := &walker{planner: p, path: s.state, planState: &planState{Version: stateVersion, Replicas: s.replicas, Poll: s.poll, Rollout: made}}
	if err := w.save(w.path); err != nil {
		return err
	}
	w.say("the plan begins: %s, replicas: %d, methods: %s", stageMode(made.Percent(), s.plan.Check), len(s.replicas),
		strings.Join(s.plan.Methods, ", "))
	return w.walk(ctx)
}

// first waits until all replicas answer.
func (p *planner) first(ctx context.Context, s *settings) ([]rollout.Sight, error) {
	began := p.now()
	for {
		sights := p.look(ctx, s.replicas)
		i := slices.IndexFunc(sights, func(one rollout.Sight) bool { return one.Err != nil })
		switch {
		case i < 0:
			return sights, nil
		case ctx.Err() != nil:
			return nil, failure{exitNotSeen, errors.New("interrupted before the plan began: nothing is changed")}
		case p.now().Sub(began) >= s.plan.UnreachableFor:
			return nil, failure{exitNotSeen, fmt.Errorf("the plan does not begin: %s cannot be asked: %w", sights[i].Replica, sights[i].Err)}
		}
		p.wait(ctx, s.poll)
	}
}

// choose finds the methods, unless they are named, and refuses to begin where a plan would end at once.
func (s *settings) choose(sights []rollout.Sight) error {
	if len(s.plan.Methods) == 0 {
		s.plan.Methods = slices.Sorted(maps.Keys(sights[0].Sample.Percent))
	}
	if len(s.plan.Methods) == 0 {
		return mistake("--metrics %s: shows no hot methods", sights[0].Replica)
	}
	for _, sight := range sights {
		if sight.Sample.Killed {
			return failure{exitGate, fmt.Errorf("the plan does not begin: the kill file is there: %s", sight.Replica)}
		}
		for _, method := range s.plan.Methods {
			if _, shown := sight.Sample.Percent[method]; !shown {
				return mistake("--methods %s: %s does not show it as a hot method", method, sight.Replica)
			}
			if slices.Contains(sight.Sample.Demoted, method) {
				return failure{exitGate, fmt.Errorf("the plan does not begin: %s demoted %s", sight.Replica, method)}
			}
		}
	}
	return nil
}

// rehearse finds out whether the modes of all stages can be written, so that a plan does not stop halfway, or cannot go back.
func (p *planner) rehearse(s *settings) error {
	for _, path := range files(s.replicas) {
		content, err := modes.Read(path)
		if err != nil {
			return failure{exitFile, fmt.Errorf("--modes: %w", err)}
		}
		for _, percent := range append([]int{0}, s.plan.Stages...) {
			if _, err := p.edit(content, s.plan.Methods, stageMode(percent, s.plan.Check)); err != nil {
				return failure{exitFile, fmt.Errorf("--modes: %s: %w", path, err)}
			}
		}
	}
	return nil
}

// files are the modes files of replicas, each once.
func files(replicas []replica) []string {
	var paths []string
	for _, one := range replicas {
		if !slices.Contains(paths, one.Modes) {
			paths = append(paths, one.Modes)
		}
	}
	return paths
}

// resume goes on with the plan of a state file.
func (p *planner) resume(ctx context.Context, path string) error {
	state, err := load(path)
	switch {
	case err != nil:
		return err
	case state == nil:
		return failure{exitFile, fmt.Errorf("--state %s: there is no plan to resume", path)}
	}
	w := &walker{planner: p, path: path, planState: state}
	if st := &state.Rollout.State; st.Status != rollout.RolledBack || st.Applied {
		if err := state.Rollout.Resume(p.now()); err != nil {
			return mistake("--state %s: %w", path, err)
		}
		if err := w.save(path); err != nil {
			return err
		}
	}
	w.say("resumed, %s", state.Rollout.State.Status)
	return w.walk(ctx)
}

// walk looks and decides until the plan ends. The state is saved before modes are written: whatever is killed in between,
// resuming writes them again, and a plan that has decided to go back never goes on.
func (w *walker) walk(ctx context.Context) error {
	r := w.Rollout
	var unsaved error
	for {
		if !r.State.Applied {
			if err := w.apply(); err != nil {
				return errors.Join(err, unsaved)
			}
			r.State.Applied = true
			unsaved = w.save(w.path)
		}
		if r.State.Status != rollout.Running {
			return w.conclude(ctx, unsaved)
		}
		if unsaved != nil {
			return fmt.Errorf("%w; the methods stay at %d%%", unsaved, r.Percent())
		}
		w.wait(ctx, w.Poll)
		sights := w.look(ctx, w.Replicas)
		if ctx.Err() != nil {
			return failure{exitNotSeen, fmt.Errorf("interrupted: the methods stay at %d%%; go on with --state %s --resume", r.Percent(), w.path)}
		}
		o := r.Observe(sights)
		w.compare(&o)
		d := r.Step(w.now(), o)
		unsaved = w.save(w.path)
		if unsaved != nil && d.Kind != rollout.GoBack {
			return fmt.Errorf("%w; the modes stay as they are", unsaved)
		}
		w.tell(d)
	}
}

// compare looks whether the modes files still say what the plan wrote.
func (w *walker) compare(o *rollout.Observation) {
	p := &w.Rollout.Plan
	text := stageMode(w.Rollout.Percent(), p.Check)
	for _, path := range files(w.Replicas) {
		content, named, err := entries(path)
		if err != nil {
			if o.Away == "" {
				o.Away = strings.ReplaceAll(err.Error(), "\n", ", ")
			}
			continue
		}
		again, err := w.edit(content, p.Methods, text)
		if err == nil {
			var wanted map[string]string
			if wanted, err = modes.Entries(again); err == nil && maps.Equal(named, wanted) {
				continue
			}
		}
		for _, method := range p.Methods {
			if named[method] != text {
				o.Edited = fmt.Sprintf("somebody else changed %s: %s is %q, not %q", path, method, named[method], text)
			}
		}
	}
}

func entries(path string) (content []byte, named map[string]string, err error) {
	if content, err = modes.Read(path); err != nil {
		return nil, nil, err
	}
	if named, err = modes.Entries(content); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return content, named, nil
}

// apply writes the modes of the stage, or those of going back, to every modes file. If some cannot be written, the others
// are nevertheless.
func (w *walker) apply() error {
	r := w.Rollout
	back := r.State.Status == rollout.RolledBack
	percent := r.Percent()
	if back {
		percent = 0
	}
	var all []error
	for _, path := range files(w.Replicas) {
		if err := w.write(path, percent, back); err != nil {
			all = append(all, fmt.Errorf("--modes: %s: %w", path, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	if back {
		all = append(all, errors.New("the plan goes back, but not every file says so: use hotpathctl rollback"))
	}
	return failure{exitFile, fmt.Errorf("%w; after the cause is gone, go on with --state %s --resume", errors.Join(all...), w.path)}
}

func (w *walker) write(path string, percent int, back bool) error {
	p := &w.Rollout.Plan
	content, named, err := entries(path)
	if err != nil {
		return err
	}
	var methods []string
	for _, method := range p.Methods {
		mode, own := named[method]
		if !own {
			mode = named[modes.DefaultKey]
		}
		// Whoever has sent a method to Go already, has done enough.
		if back && (mode == "legacy" || strings.HasPrefix(mode, "shadow")) {
			continue
		}
		methods = append(methods, method)
	}
	edited, err := w.edit(content, methods, stageMode(percent, p.Check))
	if err != nil || string(edited) == string(content) {
		return err
	}
	change := fmt.Sprintf("a plan puts %d methods into %s", len(methods), stageMode(percent, p.Check))
	return modes.Replace(path, modes.Sign(edited, whoami(), change, w.now()))
}

// conclude prints how the plan went, and returns the error of its end.
func (w *walker) conclude(ctx context.Context, unsaved error) error {
	r := w.Rollout
	if r.State.Status == rollout.RolledBack {
		w.awaitBack(ctx)
	}
	fmt.Fprintln(w.out)
	table(w.out, r)
	code := exitGate
	switch {
	case r.State.Status == rollout.Done:
		return unsaved
	case r.State.Cause == rollout.Unreachable:
		code = exitNotSeen
	}
	return failure{code, errors.Join(fmt.Errorf("the plan is %s at %d%%: %s", r.State.Status, r.Percent(), r.State.Reason), unsaved)}
}

// awaitBack waits until all replicas show that Go answers.
func (w *walker) awaitBack(ctx context.Context) {
	r, began := w.Rollout, w.now()
	for {
		late := ""
		for _, sight := range w.look(ctx, w.Replicas) {
			if sight.Err != nil {
				late = fmt.Sprintf("%s cannot be asked", sight.Replica)
				continue
			}
			for _, method := range r.Plan.Methods {
				if sight.Sample.Percent[method] != 0 && !sight.Sample.Killed {
					late = fmt.Sprintf("%s still forwards %s", sight.Replica, method)
				}
			}
		}
		switch took := w.now().Sub(began); {
		case late == "":
			w.say("all replicas show that Go answers, %.0f s later", took.Seconds())
			return
		case ctx.Err() != nil || took >= r.Plan.UnreachableFor:
			w.say("after %v not all replicas show that Go answers: %s", took.Round(time.Second), late)
			return
		}
		w.wait(ctx, w.Poll)
	}
}
