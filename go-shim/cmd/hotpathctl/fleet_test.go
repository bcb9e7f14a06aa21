package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/rollout"
)

const (
	balance = "/a.B/Balance"
	history = "/a.B/Entries"
)

// fleet is some replicas of a service, which obey their modes files, and a clock that only waiting moves.
type fleet struct {
	t        *testing.T
	now      time.Time
	folder   string
	replicas []*fake
	// at is called after each wait, with the time since the fleet began.
	at    func(time.Duration)
	began time.Time
}

// fake is a replica. Its counters grow with each wait.
type fake struct {
	server *httptest.Server
	modes  string
	// percent is what it forwards of each method, as of the last wait.
	percent map[string]int
	// real and fallbacks are added once, at the next wait. took is the bucket of the sidecar's times.
	real, fallbacks         int
	took                    float64
	down, killed, oblivious bool
	demoted                 string
	counters                map[string]int
}

func newFleet(t *testing.T, replicas int) *fleet {
	t.Helper()
	f := &fleet{t: t, now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), folder: t.TempDir(), at: func(time.Duration) {}}
	f.began = f.now
	path := filepath.Join(f.folder, "modes.toml")
	if err := os.WriteFile(path, []byte("default = \"legacy\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range replicas {
		r := &fake{modes: path, took: 0.0002, percent: map[string]int{balance: 0, history: 0}, counters: make(map[string]int)}
		r.server = httptest.NewServer(http.HandlerFunc(r.serve))
		t.Cleanup(r.server.Close)
		f.replicas = append(f.replicas, r)
	}
	return f
}

func (r *fake) serve(w http.ResponseWriter, _ *http.Request) {
	if r.down {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, "# HELP hotpath_shim_killed 1 while ...\n# TYPE hotpath_shim_killed gauge\nother_total{a=\"}\"} 3\n")
	fmt.Fprintf(w, "hotpath_shim_killed %d\n", map[bool]int{true: 1}[r.killed])
	for method, percent := range r.percent {
		fmt.Fprintf(w, "hotpath_shim_forwarded_percent{method=%q} %d\n", method, percent)
		fmt.Fprintf(w, "hotpath_shim_demoted{method=%q} %d\n", method, map[bool]int{true: 1}[r.demoted == method])
	}
	for _, series := range slices.Sorted(maps.Keys(r.counters)) {
		fmt.Fprintf(w, "%s %d\n", series, r.counters[series])
	}
}

// work obeys the modes, and counts 20 compared requests of each method.
func (r *fake) work(t *testing.T) {
	t.Helper()
	if r.down {
		return
	}
	content, err := os.ReadFile(r.modes)
	if err != nil {
		t.Fatal(err)
	}
	named, err := modes.Entries(content)
	if err != nil {
		t.Fatal(err)
	}
	for method := range r.percent {
		mode := named[method]
		if mode == "" {
			mode = named[modes.DefaultKey]
		}
		if !r.oblivious {
			r.percent[method] = percentOf(mode)
		}
		const n = 20
		r.counters[fmt.Sprintf("hotpath_shim_compared_total{method=%q,class=\"equal\"}", method)] += n
		r.counters[fmt.Sprintf("hotpath_shim_requests_total{method=%q,served_by=\"sidecar\"}", method)] += n
		for _, bound := range []float64{0.0001, 0.0002, 0.0005} {
			for by, took := range map[string]float64{"go": 0.0002, "sidecar": r.took} {
				if took <= bound {
					r.counters[fmt.Sprintf("hotpath_shim_compared_seconds_bucket{method=%q,by=%q,le=\"%v\"}", method, by, bound)] += n
				}
			}
		}
		for _, by := range []string{"go", "sidecar"} {
			r.counters[fmt.Sprintf("hotpath_shim_compared_seconds_bucket{method=%q,by=%q,le=\"+Inf\"}", method, by)] += n
		}
	}
	r.counters[fmt.Sprintf("hotpath_shim_compared_total{method=%q,class=\"real\"}", balance)] += r.real
	r.counters[fmt.Sprintf("hotpath_shim_fallbacks_total{method=%q,reason=\"busy\"}", balance)] += r.fallbacks
	r.real, r.fallbacks = 0, 0
}

// restart ends the process. Its counters begin again.
func (r *fake) restart() { r.counters = make(map[string]int) }

// percentOf is what a mode forwards.
func percentOf(mode string) int {
	var percent int
	switch kind, rest, _ := strings.Cut(mode, " "); kind {
	case "canary":
		_, _ = fmt.Sscanf(rest, "%d%%", &percent)
	case "sidecar", "reverse-shadow":
		percent = 100
	}
	return percent
}

// setModes does what withModes does, for any mode, and keeps nothing of how the file was written.
func setModes(content []byte, methods []string, mode string) ([]byte, error) {
	named, err := modes.Entries(content)
	if err != nil {
		return nil, err
	}
	for _, method := range methods {
		named[method] = mode
	}
	text := fmt.Sprintf("default = %q\n[methods]\n", named[modes.DefaultKey])
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if name != modes.DefaultKey {
			text += fmt.Sprintf("%q = %q\n", name, named[name])
		}
	}
	return []byte(text), nil
}

// plan runs hotpathctl plan with these arguments. It is interrupted by a cancelled context.
func (f *fleet) plan(ctx context.Context, args ...string) (out string, code int, err error) {
	f.t.Helper()
	var printed bytes.Buffer
	p := newPlanner(&printed)
	p.edit, p.now = setModes, func() time.Time { return f.now }
	waits := 0
	p.wait = func(_ context.Context, d time.Duration) {
		if waits++; waits > 5000 {
			f.t.Fatalf("it waits for ever:\n%s", printed.String())
		}
		f.now = f.now.Add(d)
		for _, r := range f.replicas {
			r.work(f.t)
		}
		f.at(f.now.Sub(f.began))
	}
	err = p.run(ctx, args)
	var exit failure
	if errors.As(err, &exit) {
		code = exit.code
	} else if err != nil {
		code = 1
	}
	return printed.String(), code, err
}

// args are those of a plan of the whole fleet.
func (f *fleet) args(more ...string) []string {
	var urls []string
	for _, r := range f.replicas {
		urls = append(urls, r.server.URL)
	}
	return append([]string{"5,50,100", "--modes", f.replicas[0].modes, "--metrics", strings.Join(urls, ","), "--state", f.state(),
		"--hold", "20s", "--min-compared", "100"}, more...)
}

func (f *fleet) state() string { return filepath.Join(f.folder, "plan.json") }

// says fails unless the modes file says this of all methods.
func (f *fleet) says(r *fake, mode string) {
	f.t.Helper()
	content, err := os.ReadFile(r.modes)
	if err != nil {
		f.t.Fatal(err)
	}
	named, err := modes.Entries(content)
	if err != nil || named[balance] != mode || named[history] != mode {
		f.t.Errorf("the modes file says %v, %v; want %s", named, err, mode)
	}
}

func wantAll(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// begun is a rollout of both methods.
func begun(t *testing.T) *rollout.Rollout {
	t.Helper()
	var s settings
	s.flags() // the defaults
	s.plan.Stages, s.plan.Methods, s.plan.OnFailure, s.plan.Gap = []int{5}, []string{balance, history}, rollout.Back, time.Second
	r, err := rollout.Begin(s.plan, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
