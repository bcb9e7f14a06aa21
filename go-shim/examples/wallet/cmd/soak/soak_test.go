package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

func noEnv(string) string { return "" }

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := configure([]string{"--walletd", "/no/walletd", "--hotpathd", "/no/hotpathd", "--callers", "0", "x"},
		func(string) string { return "299" }, io.Discard)
	if !errors.Is(err, command.ErrUsage) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"--walletd /no/walletd", "--hotpathd /no/hotpathd", "--callers: must be at least 1",
		`unexpected argument "x"`, "SOAK_SECONDS=299: must be a whole number from 300"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestFiveMinutesAreTheDefault(t *testing.T) {
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--walletd", bin, "--hotpathd", bin}
	c, err := configure(args, noEnv, io.Discard)
	if err != nil || c.lasts != 5*time.Minute || c.brief {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = configure(args, func(string) string { return "3600" }, io.Discard)
	if err != nil || c.lasts != time.Hour {
		t.Fatalf("%+v, %v", c, err)
	}
	var help bytes.Buffer
	if _, err := configure([]string{"--help"}, noEnv, &help); err == nil || !strings.Contains(help.String(), "-brief") {
		t.Errorf("%v:\n%s", err, help.String())
	}
}

func TestARunEndsOnlyWithSamplesEnough(t *testing.T) {
	p := planFor(config{})
	least := stills(p.lastKill() + settledAfter + leastTrend + 1)
	for _, one := range trends(least, p.lastKill()) {
		if !one.check().Passed {
			t.Errorf("the shortest run can't be judged: %+v", one.check())
		}
	}
	broken := stills(len(least) - 1)
	broken[len(broken)-1].shim.Restarts = brokenAfter
	if !p.enough(broken, time.Minute, time.Minute) {
		t.Error("sidecars that don't live make no trend, however many they are")
	}
	if p.enough(least[:len(least)-1], time.Hour, time.Minute) {
		t.Error("too few samples of the last sidecar, however long they took")
	}
	slow := stills(len(least))
	for i := range slow {
		slow[i].hotpathd.requests /= 10
	}
	if p.enough(slow, time.Hour, time.Minute) {
		t.Error("after few requests a sidecar still comes to its size, however long they took")
	}
	replaced := stills(len(least))
	replaced[len(least)-1].hotpathd.pid++
	if p.enough(replaced, time.Hour, time.Minute) {
		t.Error("the last sidecar has only begun")
	}
	if p.enough(least, time.Minute-1, time.Minute) || !p.enough(least, time.Minute, time.Minute) {
		t.Error("the time counts too")
	}
	for n := p.lastKill() + 1; n < 50; n++ {
		if p.at(n) == kills {
			t.Errorf("stretch %d kills: a trend needs one process", n)
		}
	}
	brief := planFor(config{brief: true})
	if brief.enough(stills(2), time.Hour, 0) || !brief.enough(stills(3), 0, time.Hour) || brief.trend {
		t.Errorf("%+v", brief)
	}
}

func TestSamplesAreRowsOfOneWidth(t *testing.T) {
	samples := stills(2)
	samples[0].shim.Reasons = map[string]uint64{"busy": 3}
	samples[1].laneFailures = map[string]uint64{"ended": 2}
	samples[1].hotpathd = process{}
	var out bytes.Buffer
	if err := writeSamples(&out, samples); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	last := len(rows[0]) - 1
	if rows[0][last-2] != "answered_below_grpc_go" || rows[0][last] != "lane_failures_ended" || rows[0][last-1] != "fallbacks_busy" || rows[1][last-1] != "3" ||
		rows[3][last] != "2" || rows[2][3] != "hotpathd" {
		t.Errorf("%v", rows)
	}
}

func TestTheReasonOfAFailureIsTold(t *testing.T) {
	broken, ended := errors.New("broken"), fmt.Errorf("stopped: %w", context.Canceled)
	for _, c := range []struct {
		failed []error
		want   error
	}{
		{[]error{nil, nil}, nil},
		{[]error{ended, broken}, broken},
		{[]error{broken, ended}, broken},
		{[]error{ended, nil}, context.Canceled},
	} {
		if got := cause(c.failed); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) || c.want == broken && errors.Is(got, context.Canceled) {
			t.Errorf("%v: got %v", c.failed, got)
		}
	}
}

// TestABriefSoakPasses runs the whole program with the real binaries, only shorter. Its checks do not depend on the
// machine's speed.
func TestABriefSoakPasses(t *testing.T) {
	// The directory's path must be short, because the path of a Unix socket may have only about 100 bytes.
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	hotpathd, err := rig.FindHotpathd()
	if err != nil {
		t.Fatal(err)
	}
	walletd, err := rig.FindWalletd(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	log := func() string {
		var all string
		for _, door := range rig.Doors() {
			all += string(door) + ":\n" + proc.LastLines(filepath.Join(out, string(door), "walletd.log"), 40) + "\n"
		}
		return all
	}
	v, err := soakBoth(t.Context(), config{
		Ledger: command.Ledger{
			Walletd: walletd, Hotpathd: hotpathd, Out: out, Seed: 1, Accounts: 1500, Transactions: 8000,
		},
		brief: true, postRate: 25, callers: 16,
	}, console.New(os.Stdout))
	if err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	if !v.Passed || len(v.Doors) != 2 {
		t.Fatalf("%s\n%s", v.text(), log())
	}
	for i, sum := range v.Doors {
		if sum.Door != rig.Doors()[i] || sum.Kills != 1 || sum.Stops != 1 || sum.Memory != nil || sum.Callers != 8 {
			t.Errorf("%+v", sum)
		}
		if below := sum.BelowGRPC > 0; below != (sum.Door == rig.Spliced) || below != (sum.HandedOver["mode"] > 0) {
			t.Errorf("%s: %d answered below grpc-go, handed over %v", sum.Door, sum.BelowGRPC, sum.HandedOver)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, new(verdict)); err != nil || bytes.Contains(text, []byte(dir)) {
		t.Errorf("%v, or names a folder of this machine:\n%s", err, text)
	}
	if text, err := os.ReadFile(filepath.Join(out, "summary.txt")); err != nil || !strings.Contains(string(text), "not judged") {
		t.Errorf("%v: must say what it leaves out:\n%s", err, text)
	}
	for _, name := range []string{"stock/samples.csv", "stock/walletd.log", "spliced/samples.csv", "spliced/walletd.log"} {
		if _, err := os.Stat(filepath.Join(out, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
}
