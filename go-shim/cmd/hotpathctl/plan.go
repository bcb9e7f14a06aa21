package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/rollout"
)

// stageMode is the mode of the methods in a stage. A stage of 0 is where a plan goes back to: Go answers, and requests are
// still compared, so that evidence goes on.
func stageMode(percent, check int) string {
	switch percent {
	case 0:
		return "shadow"
	case 100:
		return fmt.Sprintf("reverse-shadow %d%%", check)
	default:
		return fmt.Sprintf("canary %d%% check %d%%", percent, check)
	}
}

// withModes returns the content of a modes file with this mode for these methods.
func withModes(content []byte, methods []string, text string) ([]byte, error) {
	mode, err := modes.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("mode %q: %w", text, err)
	}
	for _, method := range methods {
		if content, err = modes.Edit(content, method, mode); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// planner walks plans. Tests replace its clock, and how it edits modes.
type planner struct {
	out io.Writer
	now func() time.Time
	// wait lets a time pass, or less of it if the context ends.
	wait   func(context.Context, time.Duration)
	edit   func(content []byte, methods []string, mode string) ([]byte, error)
	client *http.Client
}

func newPlanner(out io.Writer) *planner {
	return &planner{out: out, now: time.Now, edit: withModes, client: &http.Client{Timeout: fetchTimeout},
		wait: func(ctx context.Context, d time.Duration) {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		}}
}

// settings are what the flags of plan, or a plan file, say.
type settings struct {
	plan           rollout.Plan
	replicas       []replica
	poll           time.Duration
	stages, metric string
	modes, methods string
	onFailure      string
	file, state    string
	resume, status bool
}

// replica is one process of the service.
type replica struct {
	// Modes is the path of its modes file, which replicas may share. Metrics is the address of its metrics.
	Modes   string `json:"modes" toml:"modes"`
	Metrics string `json:"metrics" toml:"metrics"`
}

func (s *settings) flags() *flag.FlagSet {
	f := flag.NewFlagSet("plan", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&s.modes, "modes", "", "")
	f.StringVar(&s.metric, "metrics", "", "")
	f.StringVar(&s.methods, "methods", "", "")
	f.DurationVar(&s.plan.Hold, "hold", 10*time.Minute, "")
	f.Uint64Var(&s.plan.MaxMismatch, "max-mismatch", 0, "")
	f.Float64Var(&s.plan.MaxP99Ratio, "max-p99-ratio", 1.1, "")
	f.Float64Var(&s.plan.MaxFallbackShare, "max-fallback-share", 0.01, "")
	f.Uint64Var(&s.plan.MinCompared, "min-compared", 1000, "")
	f.IntVar(&s.plan.Check, "check", 10, "")
	f.StringVar(&s.onFailure, "on-failure", string(rollout.Back), "")
	f.DurationVar(&s.plan.UnreachableFor, "unreachable-for", time.Minute, "")
	f.DurationVar(&s.poll, "poll", time.Second, "")
	f.StringVar(&s.file, "plan", "", "")
	f.StringVar(&s.state, "state", "", "")
	f.BoolVar(&s.resume, "resume", false, "")
	f.BoolVar(&s.status, "status", false, "")
	return f
}

// run does what the arguments after `plan` say.
func (p *planner) run(ctx context.Context, args []string) error {
	var s settings
	given, err := s.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.out, usage)
		return err
	case err != nil:
		return err
	}
	if err := need("--state", s.state); err != nil {
		return err
	}
	if s.status || s.resume {
		if err := onlyWith(given, "--status and --resume take", "state", "status", "resume"); err != nil {
			return err
		}
	}
	switch {
	case s.status && s.resume:
		return mistake("--status only looks: leave --resume out")
	case s.status:
		return p.status(s.state)
	}
	if !s.resume {
		if err := s.read(given); err != nil {
			return err
		}
	}
	unlock, err := lock(s.state)
	if err != nil {
		return err
	}
	defer unlock()
	if s.resume {
		return p.resume(ctx, s.state)
	}
	return p.begin(ctx, &s)
}

// read takes the settings of a new plan from a file or from the flags.
func (s *settings) read(given []string) error {
	if s.file == "" {
		return s.fromFlags()
	}
	if err := onlyWith(given, "the settings come from --plan, which takes", "plan", "state"); err != nil {
		return err
	}
	return s.fromFile()
}

// parse reads the flags. STAGES may stand before or after them. given has the names of what is there.
func (s *settings) parse(args []string) (given []string, err error) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		s.stages, args = args[0], args[1:]
		given = append(given, "")
	}
	f := s.flags()
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, mistake("%w", err)
	}
	rest := f.Args()
	if len(rest) > 0 && s.stages == "" {
		s.stages, rest = rest[0], rest[1:]
		given = append(given, "")
	}
	if len(rest) > 0 {
		return nil, mistake("unexpected argument %q", rest[0])
	}
	f.Visit(func(f *flag.Flag) { given = append(given, f.Name) })
	return given, nil
}

// onlyWith refuses flags other than the allowed ones. STAGES has an empty name.
func onlyWith(given []string, rule string, allowed ...string) error {
	for _, name := range given {
		ok := false
		for _, one := range allowed {
			ok = ok || one == name
		}
		if !ok {
			what := "--" + name
			if name == "" {
				what = "STAGES"
			}
			return mistake("%s: %s no other settings than --%s", what, rule, strings.Join(allowed, ", --"))
		}
	}
	return nil
}

func (s *settings) fromFlags() error {
	if s.stages == "" {
		return mistake("plan needs STAGES, such as 5,25,50,90,100, or --plan FILE")
	}
	if err := errors.Join(need("--modes", s.modes), need("--metrics", s.metric)); err != nil {
		return failure{exitUsage, err}
	}
	for _, text := range strings.Split(s.stages, ",") {
		percent, err := strconv.Atoi(text)
		if err != nil {
			return mistake("STAGES %q: must be whole numbers with commas between them, such as 5,25,50", s.stages)
		}
		s.plan.Stages = append(s.plan.Stages, percent)
	}
	for _, url := range strings.Split(s.metric, ",") {
		s.replicas = append(s.replicas, replica{s.modes, url})
	}
	if s.methods != "" {
		s.plan.Methods = strings.Split(s.methods, ",")
	}
	s.plan.OnFailure = rollout.OnFailure(s.onFailure)
	return s.check(flagPrefix)
}
