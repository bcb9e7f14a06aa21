package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

func configured(t *testing.T, args ...string) (config, error) {
	t.Helper()
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"--walletd", "--hotpathd", "--faulty", "--hotpathctl"} {
		args = append(args, name, bin)
	}
	return configure(args, nil, io.Discard)
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := configure([]string{"kill,bogus", "--walletd", "/no/walletd", "--faulty", "/no/faulty", "--door", "back", "--seconds", "0"},
		nil, io.Discard)
	if !errors.Is(err, command.ErrUsage) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"--walletd /no/walletd", "--faulty /no/faulty", `--door "back"`, "--seconds: must be from 1 to 300",
		`there is no drill "bogus"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestFlagsPickDrillsDoorsAndTimes(t *testing.T) {
	c, err := configured(t)
	if err != nil || len(c.drills) != len(drills()) || len(c.doors) != 2 || c.lasts != 12*time.Second || c.within < time.Minute {
		t.Errorf("%d drills, %+v, %v", len(c.drills), c.doors, err)
	}
	c, err = configured(t, "stop,kill", "--door", "spliced", "--seconds", "5")
	if err != nil || len(c.drills) != 2 || c.drills[0].name != "kill" || c.lasts != 5*time.Second ||
		len(c.doors) != 1 || c.doors[0] != rig.Spliced {
		t.Errorf("%v, %v, %v", c.drills, c.doors, err)
	}
	c, err = configured(t, "--short")
	if err != nil || len(c.drills) >= len(drills()) || len(c.drills) < 10 || c.lasts != 2*time.Second {
		t.Errorf("%d drills of %v, %v", len(c.drills), c.lasts, err)
	}
	// Who names a drill gets it, short or not.
	if c, err = configured(t, "hang", "--short"); err != nil || len(c.drills) != 1 {
		t.Errorf("%v, %v", c.drills, err)
	}
	// The list needs no programs.
	if c, err = configure([]string{"--list"}, nil, io.Discard); err != nil || !c.list {
		t.Error(err)
	}
	var help bytes.Buffer
	if _, err := configure([]string{"--help"}, nil, &help); err == nil || !strings.Contains(help.String(), "usage: drills") {
		t.Errorf("%v:\n%s", err, help.String())
	}
	for line := range strings.Lines(help.String()) {
		if len(line) > 121 {
			t.Errorf("too long: %s", line)
		}
	}
}

// The guide has a row for each drill.
func TestTheGuideNamesEveryDrill(t *testing.T) {
	guide, err := os.ReadFile("../../../../../docs/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, d := range drills() {
		if seen[d.name] {
			t.Errorf("two drills are named %s", d.name)
		}
		seen[d.name] = true
		if !strings.Contains(string(guide), "| `"+d.name+"` |") {
			t.Errorf("docs/rollout.md has no row for %s", d.name)
		}
		if d.fault == "" || d.shows == "" || d.strike == nil || d.seen == nil || d.back == nil || d.setup.sidecar == "" {
			t.Errorf("%s is not complete", d.name)
		}
	}
}
