package shim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
)

func TestAnUpgradeIsNotNoticed(t *testing.T) {
	for sidecars := 1; sidecars <= 2; sidecars++ {
		t.Run(fmt.Sprint(sidecars), func(t *testing.T) {
			u := newUpgraded(t, sidecars)
			callers := u.callers(t)
			for round := range 3 {
				callers.more(t, 50)
				before, release := u.pids(), fmt.Sprint("NEW", round)
				u.release(t, release, "")
				if err := u.side.Upgrade(t.Context(), "ann"); err != nil {
					t.Fatalf("round %d: %v; log:\n%s", round, err, u.log)
				}
				for i, pid := range u.pids() {
					if slices.Contains(before, pid) || pid == 0 || syscall.Kill(before[i], 0) == nil {
						t.Errorf("round %d: pids %v after %v", round, u.pids(), before)
					}
				}
				if who := u.ask(t, t.Context()); who != release {
					t.Errorf("round %d: answered by %s", round, who)
				}
				u.ledger.Append([]byte("between upgrades"))
			}
			by := callers.end()
			for who := range by {
				if who != "OLD" && !strings.HasPrefix(who, "NEW") {
					t.Errorf("answered by %s", who)
				}
			}
			if by["OLD"] == 0 || len(by) < 3 || u.metric(t, "hotpath_shim_fallbacks_total") != 0 || len(u.local.served()) != 0 {
				t.Errorf("answered by %v, %v fallbacks", by, u.metric(t, "hotpath_shim_fallbacks_total"))
			}
			if done, restarts := u.metric(t, "hotpath_shim_upgrades_total", "result", "done"), u.metric(t, "hotpath_shim_sidecar_restarts_total"); done != 3 || restarts != 0 {
				t.Errorf("%v upgrades, %v restarts", done, restarts)
			}
			last := u.side.Status().Upgrade
			if last.Running || last.By != "ann" || last.Err != nil || last.Ended.Before(last.Began) || u.metric(t, "hotpath_shim_upgrading") != 0 {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestAnUpgradeToABadReleaseIsGivenUp(t *testing.T) {
	crashed, refused, unwell := shim.ErrUpgradeCrashed, shim.ErrUpgradeRefused, shim.ErrUpgradeUnwell
	for _, c := range []struct {
		flaw, result, text string
		err, or            error
		local              bool
	}{
		{flaw: "ends", result: "crashed", err: crashed, text: "this release cannot start"},
		{flaw: "refuses a method", result: "refused", err: refused, text: unaryCall + ", which the old one takes: another schema"},
		{flaw: "another protocol", result: "refused", err: refused, text: "PROTOCOL_MISMATCH"},
		{flaw: "another ledger", result: "refused", err: refused, text: "LEDGER_MISMATCH"},
		{flaw: "is never ready", result: "too_late", err: shim.ErrUpgradeTooLate, text: "at position 0 of 100"},
		// The loss of the connections may be seen before the end of the process.
		{flaw: "ends when asked", result: "crashed", err: crashed, or: unwell},
		{flaw: "hangs when asked", result: "ill", err: unwell, text: "keeps failing"},
		// Such an answer is tried once. By it and the next ones it becomes known.
		{flaw: "answers every second", result: "ill", err: unwell, text: "too many requests of " + unaryCall + " got no answer", local: true},
	} {
		for sidecars := 1; sidecars <= 2; sidecars++ {
			t.Run(fmt.Sprint(c.flaw, " ", sidecars), func(t *testing.T) {
				u := newUpgraded(t, sidecars, func(config *shim.Config) {
					config.Supervisor.UpgradeSettle, config.Breaker.Failures = testTimeout, 2
					if c.local {
						config.Breaker.Failures = 1000
					}
					if c.flaw == "hangs when asked" {
						config.HopTimeout = 3 * time.Second
					}
					if c.flaw == "is never ready" {
						config.Supervisor.UpgradeTimeout = 2 * time.Second
					}
				})
				callers := u.callers(t)
				before := u.pids()
				u.release(t, "BAD", c.flaw)
				err := u.side.Upgrade(t.Context(), "ann")
				if !errors.Is(err, c.err) && (c.or == nil || !errors.Is(err, c.or)) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("got %v; log:\n%s", err, u.log)
				}
				if now := u.pids(); !slices.Equal(now, before) || u.side.Status().Upgrade.Err == nil {
					t.Errorf("%v run after %v; %+v", now, before, u.side.Status().Upgrade)
				}
				callers.more(t, 50)
				for who, n := range callers.end() {
					if who != "OLD" && (!c.local || who != "LOCAL" && who != "BAD") {
						t.Errorf("%d answered by %s", n, who)
					}
				}
				if n := u.metric(t, "hotpath_shim_upgrades_total", "result", c.result); n != 1 && c.or == nil {
					t.Errorf("%v counted as %s", n, c.result)
				}
				// What was refused on trial is nothing that the one which runs refuses.
				if n := u.metric(t, "hotpath_shim_method_refused") + u.metric(t, "hotpath_shim_sidecar_restarts_total"); n != 0 {
					t.Errorf("refusals and restarts: %v", n)
				}
			})
		}
	}
}

func TestWhatTheOldOneWasAskedItAnswers(t *testing.T) {
	for sidecars := 1; sidecars <= 2; sidecars++ {
		t.Run(fmt.Sprint(sidecars), func(t *testing.T) {
			u := newUpgraded(t, sidecars)
			u.release(t, "SLOW", "takes its time")
			if err := u.side.Upgrade(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
			answered := make(chan string, 1)
			go func() {
				reply, err := u.client.UnaryCall(context.Background(), requestOf("slow"))
				answered <- fmt.Sprint(reply.GetUsername(), err)
			}()
			eventually(t, "it is under way", func() bool { return u.metric(t, "hotpath_shim_lane_in_flight") > 0 })
			u.release(t, "NEW", "")
			if err := u.side.Upgrade(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
			if who := <-answered; who != "SLOW<nil>" {
				t.Errorf("answered by %s", who)
			}
		})
	}
}

func TestAnOldSidecarThatDiesDuringAnUpgradeDoesNotStopIt(t *testing.T) {
	u := newUpgraded(t, 1)
	held := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u.release(t, "NEW", "is ready later", heldWhile, held)
	pid := u.pids()[0]
	done := u.upgrade(t.Context())
	u.awaitPhase(t, "filling")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// It is started again as always; the program is the new one by now, and held as well.
	eventually(t, "the old one is started again", func() bool { return u.metric(t, "hotpath_shim_sidecar_restarts_total") == 1 })
	if who := u.ask(t, t.Context()); who != "LOCAL" {
		t.Errorf("answered by %s", who)
	}
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("%v; log:\n%s", err, u.log)
	}
	u.awaitReady(t)
	if who := u.ask(t, t.Context()); who != "NEW" {
		t.Errorf("answered by %s", who)
	}
}

func TestCloseEndsAnUpgrade(t *testing.T) {
	for sidecars := 1; sidecars <= 2; sidecars++ {
		for _, phase := range []string{"filling", "settling"} {
			flaw, change := "is never ready", func(*shim.Config) {}
			if phase == "settling" {
				flaw, change = "", func(c *shim.Config) { c.Supervisor.UpgradeSettle = testTimeout }
			}
			t.Run(fmt.Sprint(phase, sidecars), func(t *testing.T) {
				u := newUpgraded(t, sidecars, change)
				u.release(t, "NEW", flaw)
				pids := u.pids()
				done := u.upgrade(t.Context())
				u.awaitPhase(t, phase)
				pids = append(pids, u.pids()...)
				if err := u.side.Close(); err != nil {
					t.Fatal(err)
				}
				if err := <-done; !errors.Is(err, shim.ErrClosed) {
					t.Errorf("got %v", err)
				}
				for _, pid := range pids {
					if syscall.Kill(pid, 0) == nil {
						t.Errorf("%d outlived Close", pid)
					}
				}
				if err := u.side.Upgrade(t.Context(), "ann"); !errors.Is(err, shim.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			})
		}
	}
}

func TestAnUpgradeCanBeStoppedAndIsAlone(t *testing.T) {
	u := newUpgraded(t, 1)
	u.release(t, "NEW", "is never ready")
	before := u.pids()
	ctx, stop := context.WithCancel(t.Context())
	done := u.upgrade(ctx)
	u.awaitPhase(t, "filling")
	if err := u.side.Upgrade(t.Context(), "bob"); !errors.Is(err, shim.ErrUpgrading) {
		t.Errorf("a second one: %v", err)
	}
	if u.metric(t, "hotpath_shim_upgrading") != 1 || u.side.Status().Upgrade.By != "the test" {
		t.Errorf("%+v", u.side.Status().Upgrade)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) || u.metric(t, "hotpath_shim_upgrades_total", "result", "stopped") != 1 {
		t.Errorf("stopped: %v", err)
	}
	if now := u.pids(); !slices.Equal(now, before) || u.ask(t, t.Context()) != "OLD" {
		t.Errorf("%v run after %v", now, before)
	}
	attached := newRig(t, setup{})
	if err := attached.side.Upgrade(t.Context(), "ann"); !errors.Is(err, shim.ErrNotSupervised) {
		t.Errorf("attached: %v", err)
	}
}

func TestAReplacedProgramIsNoticed(t *testing.T) {
	for sidecars := 1; sidecars <= 2; sidecars++ {
		t.Run(fmt.Sprint(sidecars), func(t *testing.T) {
			u := newUpgraded(t, sidecars, func(c *shim.Config) { c.Supervisor.UpgradeOnChange = true })
			u.release(t, "BAD", "ends")
			eventually(t, "it is given up", func() bool { return u.metric(t, "hotpath_shim_upgrades_total", "result", "crashed") == 1 })
			before := u.pids()
			u.release(t, "NEW", "")
			eventually(t, "it is upgraded", func() bool { return u.metric(t, "hotpath_shim_upgrades_total", "result", "done") == 1 })
			if who := u.ask(t, t.Context()); who != "NEW" || u.metric(t, "hotpath_shim_upgrades_total") != 2 {
				t.Errorf("answered by %s after %v upgrades", who, u.metric(t, "hotpath_shim_upgrades_total"))
			}
			for _, pid := range u.pids() {
				if slices.Contains(before, pid) {
					t.Errorf("%v run after %v", u.pids(), before)
				}
			}
		})
	}
}

func TestSettingsOfTheSupervisorAreChecked(t *testing.T) {
	_, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Socket: strings.Repeat("s", shim.MaxSocketBytes), Methods: []string{unaryCall},
		Supervisor: shim.Supervisor{Crashes: 101, CrashWindow: time.Millisecond, SlowRestart: time.Hour, MaxSlowRestart: 2 * time.Hour,
			UpgradeTimeout: time.Millisecond, UpgradeSettle: 2 * time.Hour, UpgradeOnChange: true}}, nil)
	if !errors.Is(err, shim.ErrConfig) {
		t.Fatal(err)
	}
	for _, want := range []string{"Supervisor.Crashes: must be 1-100", "Supervisor.CrashWindow: must be 1 s to 1 h",
		"Supervisor.MaxSlowRestart: must be 1 s to 1 h", "Supervisor.UpgradeTimeout: must be 1 s to 24 h",
		"Supervisor.UpgradeSettle: must be 1 ms to 1 h", "Supervisor.UpgradeOnChange: needs Run Supervise",
		"Socket: must be at most 101 bytes with Supervisor.UpgradeOnChange"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
}
