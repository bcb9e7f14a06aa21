package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	at5, at50, at100 = "canary 5% check 10%", "canary 50% check 10%", "reverse-shadow 10%"
	inShadow         = "shadow"
)

func TestAPlanWalksItsStages(t *testing.T) {
	f := newFleet(t, 2)
	var seen []string
	f.at = func(time.Duration) {
		content, err := os.ReadFile(f.replicas[0].modes)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 || seen[len(seen)-1] != string(content) {
			seen = append(seen, string(content))
		}
	}
	out, code, err := f.plan(t.Context(), f.args()...)
	if code != 0 || err != nil || len(seen) != 3 {
		t.Fatalf("exit %d, %v, %d contents of the modes file:\n%s", code, err, len(seen), out)
	}
	f.says(f.replicas[0], at100)
	wantAll(t, out, "2026-01-02T03:00:00Z    5%  the plan begins: canary 5% check 10%, replicas: 2, methods: /a.B/Balance, /a.B/Entries\n",
		"2026-01-02T03:00:21Z   50%  begins: 5% has passed: held 20s, 1600 compared, 0 real, p99 ratio 1.00, 0 of 1600 fell back\n",
		"2026-01-02T03:01:03Z  100%  done: the last stage has passed", "p99 ratio   fallbacks   outcome", "20s       1600      0        1.00   0 (0.00%)    passed")
	status, code, err := f.plan(t.Context(), "--status", "--state", f.state())
	if code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	wantAll(t, status, "done at 100%: the last stage has passed", "stages [5 50 100], hold 20s, last look 2026-01-02T03:01:03Z", "   5%  running: the plan begins")
	if _, code, err = f.plan(t.Context(), "--state", f.state(), "--resume"); code != exitUsage || !strings.Contains(err.Error(), "the plan has ended: done") {
		t.Errorf("exit %d, %v", code, err)
	}
	// A plan that is done is in nobody's way.
	if out, code, err = f.plan(t.Context(), f.args()...); code != 0 {
		t.Errorf("exit %d, %v:\n%s", code, err, out)
	}
}

func TestAGateThatFailsTakesTheMethodsBack(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*fake)
		why   string
	}{
		"real mismatch": {func(r *fake) { r.real = 1 }, "1 real mismatches, at most 0: /a.B/Balance 1"},
		"slow":          {func(r *fake) { r.took = 0.0005 }, "the sidecar's p99 is "},
		"fallbacks":     {func(r *fake) { r.fallbacks = 900 }, "forwarded requests fell back, at most 1% (busy 900)"},
		"demoted":       {func(r *fake) { r.demoted = history }, "demoted /a.B/Entries"},
		"killed":        {func(r *fake) { r.killed = true }, "the kill file is there"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			f.at = func(d time.Duration) {
				if d == 30*time.Second {
					c.fault(f.replicas[1])
				}
			}
			out, code, err := f.plan(t.Context(), f.args()...)
			if code != exitGate || !strings.Contains(err.Error(), "the plan is rolled back at 50%: ") || !strings.Contains(err.Error(), c.why) {
				t.Errorf("exit %d, %v", code, err)
			}
			wantAll(t, out, " 50%  goes back to shadow: ", c.why, "all replicas show that Go answers, 1 s later")
			f.says(f.replicas[0], inShadow)
			if _, code, err := f.plan(t.Context(), "--resume", "--state", f.state()); code != exitUsage {
				t.Errorf("resumed: exit %d, %v", code, err)
			}
			f.says(f.replicas[0], inShadow)
		})
	}
}

func TestMismatchesCountFromTheBeginningOfThePlanOn(t *testing.T) {
	for _, during := range []bool{false, true} {
		f := newFleet(t, 1)
		f.replicas[0].real = 1
		if !during {
			f.replicas[0].work(t) // before the plan
		}
		if _, code, err := f.plan(t.Context(), f.args()...); code != map[bool]int{true: exitGate}[during] {
			t.Errorf("during the plan: %v, exit %d, %v", during, code, err)
		}
	}
}

func TestStopLeavesTheStageAndMayBeTriedAgain(t *testing.T) {
	f := newFleet(t, 1)
	f.at = func(d time.Duration) {
		if d == 30*time.Second {
			f.replicas[0].took = 0.0005
		}
	}
	out, code, err := f.plan(t.Context(), f.args("--on-failure", "stop")...)
	if code != exitGate || !strings.Contains(err.Error(), "the plan is held at 50%") {
		t.Fatalf("exit %d, %v", code, err)
	}
	wantAll(t, out, "stops, and the modes stay as they are")
	f.says(f.replicas[0], at50)
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitUsage || !strings.Contains(err.Error(), "holds a plan that is held at 50%: go on with --resume") {
		t.Errorf("exit %d, %v", code, err)
	}
	f.replicas[0].took, f.at = 0.0002, func(time.Duration) {}
	if out, code, err = f.plan(t.Context(), "--resume", "--state", f.state()); code != 0 {
		t.Errorf("exit %d, %v:\n%s", code, err, out)
	}
	f.says(f.replicas[0], at100)
}

// Whenever the program is killed, resuming goes on where it was, and a mismatch in the meantime is not missed.
func TestAKilledPlanIsResumed(t *testing.T) {
	for second := 1; second < 60; second += 7 {
		f := newFleet(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		f.at = func(d time.Duration) {
			if d == time.Duration(second)*time.Second {
				cancel()
			}
		}
		out, code, err := f.plan(ctx, f.args()...)
		if code != exitNotSeen || !strings.Contains(err.Error(), "interrupted: the methods stay at ") {
			t.Fatalf("second %d: exit %d, %v:\n%s", second, code, err, out)
		}
		if _, code, err := f.plan(t.Context(), f.args()...); code != exitUsage || !strings.Contains(err.Error(), "holds a plan that is running at") {
			t.Errorf("second %d: exit %d, %v", second, code, err)
		}
		f.now = f.now.Add(time.Hour)
		mismatch := second%2 == 0
		if mismatch {
			f.replicas[1].real = 1
			f.replicas[1].work(t)
		}
		out, code, err = f.plan(t.Context(), "--resume", "--state", f.state())
		switch {
		case mismatch && (code != exitGate || !strings.Contains(err.Error(), "1 real mismatches")), !mismatch && code != 0:
			t.Errorf("second %d: exit %d, %v:\n%s", second, code, err, out)
		case mismatch:
			f.says(f.replicas[0], inShadow)
		default:
			f.says(f.replicas[0], at100)
		}
	}
}

// The state is saved before the modes are written. If the program is killed in between, resuming writes them.
func TestAStageThatWasNotWrittenIsWrittenByResuming(t *testing.T) {
	f := newFleet(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	f.at = func(d time.Duration) {
		if d == 30*time.Second {
			cancel()
		}
	}
	if _, code, err := f.plan(ctx, f.args()...); code != exitNotSeen {
		t.Fatalf("exit %d, %v", code, err)
	}
	f.says(f.replicas[0], at50)
	state, err := load(f.state())
	if err != nil {
		t.Fatal(err)
	}
	state.Rollout.State.Applied = false
	content, err := setModes(nil, []string{balance, history}, at5)
	if err := errors.Join(err, state.save(f.state()), os.WriteFile(f.replicas[0].modes, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	f.at = func(time.Duration) {}
	if out, code, err := f.plan(t.Context(), "--resume", "--state", f.state()); code != 0 {
		t.Errorf("exit %d, %v:\n%s", code, err, out)
	}
	f.says(f.replicas[0], at100)
}

func TestAPlanThatCouldNotGoBackDoesSoByResuming(t *testing.T) {
	f := newFleet(t, 1)
	r := f.replicas[0]
	f.at = func(d time.Duration) {
		if d != 10*time.Second {
			return
		}
		r.real = 1
		r.work(t)
		if err := os.Rename(r.modes, r.modes+".away"); err != nil {
			t.Fatal(err)
		}
	}
	out, code, err := f.plan(t.Context(), f.args()...)
	if code != exitFile || !strings.Contains(err.Error(), "use hotpathctl rollback") {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	if err := os.Rename(r.modes+".away", r.modes); err != nil {
		t.Fatal(err)
	}
	f.says(r, at5)
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitUsage || !strings.Contains(err.Error(), "holds a plan that is rolled back") {
		t.Errorf("exit %d, %v", code, err)
	}
	f.at = func(time.Duration) {}
	if _, code, err = f.plan(t.Context(), "--resume", "--state", f.state()); code != exitGate {
		t.Errorf("exit %d, %v", code, err)
	}
	f.says(r, inShadow)
}

// A full disk, say, must not keep a plan from going back, and must keep it from going on.
func TestAStateThatCannotBeSaved(t *testing.T) {
	for _, mismatch := range []int{0, 1} {
		f := newFleet(t, 1)
		folder := t.TempDir()
		state := filepath.Join(folder, "of", "plan.json")
		if err := os.Mkdir(filepath.Dir(state), 0o700); err != nil {
			t.Fatal(err)
		}
		f.at = func(d time.Duration) {
			if d == 10*time.Second {
				f.replicas[0].real = mismatch
				f.replicas[0].work(t)
				if err := os.RemoveAll(filepath.Dir(state)); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, code, err := f.plan(t.Context(), f.args("--state", state)...)
		want, mode := map[int]int{0: exitFile, 1: exitGate}[mismatch], map[int]string{0: at5, 1: inShadow}[mismatch]
		if code != want || !strings.Contains(err.Error(), "--state: ") {
			t.Errorf("exit %d, %v", code, err)
		}
		f.says(f.replicas[0], mode)
	}
}

func TestARestartOfAReplicaIsToleratedAndTheClockStands(t *testing.T) {
	f := newFleet(t, 2)
	f.at = func(d time.Duration) {
		switch r := f.replicas[1]; d {
		case 20 * time.Second:
			r.down = true
		case 50 * time.Second:
			r.down = false
			r.restart()
		}
	}
	out, code, err := f.plan(t.Context(), f.args("--hold", "1m")...)
	if code != 0 {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	// 30 s down, and the looks before and after.
	wantAll(t, out, "cannot be asked: HTTP status 503", "all replicas are in the stage again: held for 18s of 1m0s", "2026-01-02T03:01:32Z   50%  begins: 5% has passed")
}

func TestAReplicaThatStaysAwayEndsThePlan(t *testing.T) {
	for name, fault := range map[string]func(*fake){
		"cannot be asked: HTTP status 503": func(r *fake) { r.down = true },
		"forwards 5% of /a.B/":             func(r *fake) { r.oblivious = true },
	} {
		f := newFleet(t, 2)
		f.at = func(d time.Duration) {
			if d == 10*time.Second {
				fault(f.replicas[1])
			}
		}
		out, code, err := f.plan(t.Context(), f.args("--unreachable-for", "20s")...)
		if code != exitNotSeen || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "for more than 20s") {
			t.Errorf("%s: exit %d, %v", name, code, err)
		}
		wantAll(t, out, "waits: ", "not all replicas show that Go answers")
		f.says(f.replicas[0], inShadow)
	}
	f := newFleet(t, 1)
	f.replicas[0].down = true
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitNotSeen || !strings.Contains(err.Error(), "the plan does not begin") {
		t.Errorf("exit %d, %v", code, err)
	}
}

func TestAPlanThatLacksComparisonsWaitsAndSaysSo(t *testing.T) {
	f := newFleet(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.at = func(d time.Duration) {
		if d == time.Minute {
			cancel()
		}
	}
	out, _, _ := f.plan(ctx, f.args("--min-compared", "1000000")...)
	wantAll(t, out, "waits: the hold has passed, but 800 of 1000000 requests are compared")
	if n := strings.Count(out, "waits"); n != 1 {
		t.Errorf("it says so %d times:\n%s", n, out)
	}
}

func TestModesThatSomebodyElseSetStay(t *testing.T) {
	f := newFleet(t, 1)
	f.at = func(d time.Duration) {
		if d == 10*time.Second {
			if err := os.WriteFile(f.replicas[0].modes, []byte("default = \"legacy\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, code, err := f.plan(t.Context(), f.args()...)
	if code != exitGate || !strings.Contains(err.Error(), "somebody else changed "+f.replicas[0].modes+": /a.B/") {
		t.Errorf("exit %d, %v", code, err)
	}
	f.says(f.replicas[0], "")
}

// planText is a plan file for two replicas with a modes file each.
func planText(f *fleet, more string) string {
	text := "stages = [5, 50, 100]\nhold = \"20s\"\nmin-compared = 100\n" + more
	for i, r := range f.replicas {
		r.modes = filepath.Join(f.folder, fmt.Sprintf("modes-%d.toml", i))
		text += fmt.Sprintf("[[replica]]\nmodes = %q\nmetrics = %q\n", r.modes, r.server.URL)
	}
	return text
}

func TestReplicasWithFilesOfTheirOwnShareAPlan(t *testing.T) {
	f := newFleet(t, 2)
	plan := file(t, planText(f, "poll = \"2s\"\n"))
	for _, r := range f.replicas {
		if err := os.WriteFile(r.modes, []byte("default = \"legacy\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.at = func(d time.Duration) {
		f.replicas[0].real = map[bool]int{true: 1}[d == 30*time.Second]
	}
	out, code, err := f.plan(t.Context(), "--plan", plan, "--state", f.state())
	if code != exitGate || !strings.Contains(err.Error(), "1 real mismatches") {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	for _, r := range f.replicas {
		f.says(r, inShadow)
	}
}
