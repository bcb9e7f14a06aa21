package shimadmin_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/rollout"
	"hotpath.dev/go-shim/shimadmin"
)

// shown returns the plan that the status shows for a state file.
func shown(t *testing.T, path string) *shimadmin.Plan {
	t.Helper()
	code, answer := send(shimadmin.New(&side{}, quiet(shimadmin.Config{PlanState: path})), http.MethodGet, shimadmin.Prefix+"status", "", "", "localhost")
	var s shimadmin.Status
	if err := json.Unmarshal([]byte(answer), &s); code != http.StatusOK || err != nil || len(s.Methods) != 2 {
		t.Fatalf("%d %s: %v", code, answer, err)
	}
	return s.Plan
}

// begun returns a plan in its second stage of three.
func begun(t *testing.T) *rollout.Rollout {
	t.Helper()
	at := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	r, err := rollout.Begin(rollout.Plan{
		Stages: []int{5, 50, 100}, Methods: []string{"/a.B/C"}, Hold: 10 * time.Second, MaxP99Ratio: 1.1, MaxFallbackShare: .01, MinCompared: 100,
		Check: 10, OnFailure: rollout.Stop, UnreachableFor: time.Minute, Gap: time.Minute,
	}, at)
	if err != nil {
		t.Fatal(err)
	}
	grown := rollout.Tally{"/a.B/C": {
		Compared: map[string]uint64{"equal": 150}, Requests: map[string]uint64{"sidecar": 2000}, Fallbacks: map[string]uint64{"busy": 1},
		Go: map[string]uint64{"0.001": 150, "+Inf": 150}, Sidecar: map[string]uint64{"0.001": 150, "+Inf": 150},
	}}
	for i := range 3 {
		if i == 2 {
			grown = nil
		}
		r.Step(at.Add(time.Duration(i)*12*time.Second), rollout.Observation{Grown: grown})
	}
	if r.State.Stage != 1 {
		t.Fatalf("%+v", r.State)
	}
	return r
}

func save(t *testing.T, state any) string {
	t.Helper()
	content, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return saveText(t, string(content))
}

func saveText(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestThePlanIsToldStageByStage(t *testing.T) {
	r := begun(t)
	p := shown(t, save(t, map[string]any{"version": rollout.FileVersion, "rollout": r}))
	if p == nil || p.Error != "" || p.Status != "running" || p.Stage != 1 || len(p.Stages) != 3 || p.HoldSeconds != 10 || p.MinCompared != 100 ||
		p.GapSeconds != 60 || !p.Seen.Equal(r.State.Seen) || !p.Since.Equal(r.State.Began) || !strings.HasPrefix(p.Reason, "5% has passed") {
		t.Fatalf("%+v", p)
	}
	if want := (shimadmin.PlanStage{Percent: 5, Outcome: "passed", HeldSeconds: 12, Compared: 150, P99Ratio: "1.00", Forwarded: 2001, Fallbacks: 1}); p.Stages[0] != want {
		t.Errorf("%+v", p.Stages[0])
	}
	if one := p.Stages[1]; one.Percent != 50 || one.Outcome != "lasts" || one.Compared != 0 {
		t.Errorf("%+v", one)
	}
	if one := p.Stages[2]; one.Percent != 100 || one.Outcome != "" {
		t.Errorf("%+v", one)
	}
	ended := r.State.Seen.Add(time.Second)
	r.Step(ended, rollout.Observation{Killed: "the kill file is there: x"})
	p = shown(t, save(t, map[string]any{"version": rollout.FileVersion, "rollout": r}))
	if p.Status != "failed" || p.Stage != 1 || p.Stages[1].Outcome != "killed" || p.Reason != "the kill file is there: x" || !p.Since.Equal(ended) {
		t.Errorf("%+v", p)
	}
}

func TestWithoutAPlanThePageIsThere(t *testing.T) {
	folder := t.TempDir()
	if p := shown(t, ""); p != nil {
		t.Errorf("%+v", p)
	}
	pipe, large := filepath.Join(folder, "pipe"), filepath.Join(folder, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Fatal(err)
	}
	damaged := begun(t)
	damaged.State.Stage = 7
	for name, c := range map[string]struct{ path, want string }{
		"not yet": {filepath.Join(folder, "none"), ""}, "just made": {saveText(t, ""), ""},
		"a folder": {folder, "must be a regular file of at most 16 MiB"}, "a pipe": {pipe, "must be a regular file"}, "huge": {large, "must be a regular file"},
		"no JSON": {saveText(t, "stages = [5]"), "invalid character"}, "another version": {saveText(t, `{"version": 9}`), "it has version 9, not 1"},
		"another file": {saveText(t, `{"version": 1}`), "is not the state of a plan"},
		"damaged":      {save(t, map[string]any{"version": 1, "rollout": damaged}), "the state is damaged"},
	} {
		p := shown(t, c.path)
		if p == nil || p.Status != "" || len(p.Stages) > 0 || (p.Error == "") != (c.want == "") || !strings.Contains(p.Error, c.want) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
