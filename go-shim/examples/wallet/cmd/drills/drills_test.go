package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// programs returns a configuration with the real programs, whose output goes to a folder with a short path, because that of a
// Unix socket may have only about 100 bytes.
func programs(t *testing.T) config {
	t.Helper()
	dir, err := os.MkdirTemp("", "drills-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := config{
		Ledger:   command.Ledger{Out: filepath.Join(dir, "out"), Seed: 1, Accounts: 100, Transactions: 500},
		faketime: "../../../../../.ci/faketime", doors: rig.Doors(), lasts: 300 * time.Millisecond, within: longestWait,
	}
	for _, one := range []struct {
		path *string
		find func() (string, error)
	}{
		{&c.Hotpathd, rig.FindHotpathd}, {&c.faulty, rig.FindFaulty},
		{&c.Walletd, func() (string, error) { return rig.FindWalletd(dir) }},
		{&c.hotpathctl, func() (string, error) { return rig.BuildHotpathctl(dir) }},
	} {
		if *one.path, err = one.find(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func drilled(t *testing.T, c config) *report {
	t.Helper()
	found, err := drillAll(t.Context(), c, console.New(os.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDrillsPass does two drills with the real programs: one that mends itself, and one that leaves evidence.
func TestDrillsPass(t *testing.T) {
	c := programs(t)
	var err error
	if c.drills, err = pick(drills(), "kill,wrong-shadow", false); err != nil {
		t.Fatal(err)
	}
	found := drilled(t, c)
	if !found.Passed || len(found.Drills) != 4 {
		t.Fatal(found.text())
	}
	for _, one := range found.Drills {
		if one.Compared == 0 || one.Door == "" || one.Drill == "wrong-shadow" && len(one.Notes) == 0 {
			t.Errorf("%+v", one)
		}
		if _, err := os.Stat(filepath.Join(c.Out, one.Drill, string(one.Door), "walletd.log")); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(c.Out, reportJSON))
	if err != nil || strings.Contains(string(text), c.Out) {
		t.Errorf("%v, or names a folder of this machine:\n%s", err, text)
	}
}

// TestADrillThatFindsSomethingFails has a sidecar with a bug answer callers, and a fault that nothing shows.
func TestADrillThatFindsSomethingFails(t *testing.T) {
	c := programs(t)
	c.doors = c.doors[:1]
	yes := metrics(func(_, _ view) bool { return true })
	c.drills = []drill{
		{
			name: "believed", setup: setup{sidecar: rig.Attach, faulty: wrongBalance}, strike: steps(), back: yes,
			seen: func(_ context.Context, s *stage, _ view) bool { return s.callers.own.Count() > 0 },
		},
		{
			name: "unseen", setup: setup{sidecar: rig.Attach}, strike: steps(), back: yes,
			seen: func(_ context.Context, s *stage, _ view) bool {
				s.config.within = 0
				return false
			},
		},
	}
	found := drilled(t, c)
	if found.Passed {
		t.Fatal(found.text())
	}
	believed, unseen := found.Drills[0], found.Drills[1]
	if why := strings.Join(believed.Why, "\n"); believed.Wrong == 0 || believed.WrongOwn == 0 || !strings.Contains(why, "GetBalance") {
		t.Errorf("%d wrong, %d own: %s", believed.Wrong, believed.WrongOwn, why)
	}
	if why := strings.Join(unseen.Why, "\n"); unseen.Wrong > 0 || !strings.Contains(why, "nothing showed the fault") {
		t.Errorf("%d wrong: %s", unseen.Wrong, why)
	}
}
