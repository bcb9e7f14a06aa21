package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

func TestTheDefaultsAreTheFullSize(t *testing.T) {
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := configure([]string{"--hotpathd", bin}, os.Getenv, io.Discard)
	if err != nil || c.entries != largeEntries || c.busyEntries != defaultBusy || c.rate != 5_000 || c.seconds != 120 ||
		c.every != 50 || c.out != "target/ingest" || !slices.Equal(c.phases, allPhases()) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = configure([]string{"--hotpathd", bin, "--phases", "live,fill"}, os.Getenv, io.Discard)
	if err != nil || !c.runs(fill) || !c.runs(live) || c.runs(busy) || c.runs(churn) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestMistakesNameTheFlagAndTheRule(t *testing.T) {
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, want string
	}{
		{"--hotpathd /no/hotpathd", "--hotpathd /no/hotpathd: is no file"},
		{"--entries 999", "--entries: must be from 1000 to 5000000"},
		{"--busy-entries 5000001", "--busy-entries: must be from 1000 to 5000000"},
		{"--rate 0", "--rate: must be from 1 to 100000"},
		{"--seconds 1", "--seconds: must be from 2 to 3600"},
		{"--readers 257", "--readers: must be from 1 to 256"},
		{"--read-rate 0", "--read-rate: must be from 1 to 100000"},
		{"--sample-every 0", "--sample-every: must be from 1 to 1000000"},
		{"--retain-ms -1", "--retain-ms: must be from 0 to 600000"},
		{"--rate 100000 --seconds 21", "must be at most 2000000 transactions together"},
		{"--phases fill,churn", "churn needs live"},
		{"--phases fill,lively", "must be one or more of fill, busy, live, churn, offload"},
		{"--rounds 1", "--rounds: must be from 2 to 100"},
		{"--round-questions 31", "--round-questions: must be from 32 to 1000000"},
		{"more", `unexpected argument "more"`},
	} {
		_, err := configure(append([]string{"--hotpathd", bin}, strings.Fields(c.args)...), os.Getenv, io.Discard)
		if !errors.Is(err, command.ErrUsage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
	if _, err := configure([]string{"--hotpathd", bin, "--rate", "100000", "--seconds", "21", "--phases", "busy"}, os.Getenv, io.Discard); err != nil {
		t.Errorf("without live: %v", err)
	}
}

func TestHelpNamesPhasesAndFlags(t *testing.T) {
	var help bytes.Buffer
	if _, err := configure([]string{"--help"}, os.Getenv, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("%v", err)
	}
	for _, part := range append(allPhases(), "-phases phases", "(default fill,busy,live,churn,offload)", "-retain-ms", "Exit code 1") {
		if !strings.Contains(help.String(), part) {
			t.Errorf("%q is missing in:\n%s", part, help.String())
		}
	}
}
