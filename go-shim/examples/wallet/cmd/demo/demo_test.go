package main

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

func noEnv(string) string { return "" }

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	env := func(string) string { return "soon" }
	_, err := configure([]string{"--walletd", "/no/walletd", "--hotpathd", "/no/hotpathd", "--accounts", "0",
		"--read-model", "paper", "--sidecars", "3", "x"},
		env, io.Discard)
	if !errors.Is(err, command.ErrUsage) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"--walletd /no/walletd", "--hotpathd /no/hotpathd", "--accounts: must be at least 1",
		`--read-model "paper": must be one of legacy, best-scan, best, store`, "--sidecars: must be from 1 to 2", `unexpected argument "x"`, "DEMO_SECONDS=soon: must be a whole number from 6 to 3600"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestTheEnvironmentShortensTheTraffic(t *testing.T) {
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--walletd", bin, "--hotpathd", bin}
	c, err := configure(args, noEnv, io.Discard)
	if err != nil || c.traffic != 35*time.Second || c.Accounts < 50_000 {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = configure(args, func(string) string { return "8" }, io.Discard)
	if err != nil || c.traffic != 8*time.Second {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = configure(append(args, "--read-model", "store", "--sidecars", "2"), noEnv, io.Discard)
	if err != nil || !c.oneCopy() || c.sidecars != 2 || c.traffic != 16*time.Second {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestThePlanFillsTheTimeAndNoMore(t *testing.T) {
	for _, traffic := range []time.Duration{3, 5, 8, 17, 20, 35, 60, 300} {
		traffic *= time.Second
		p := planFor(traffic)
		took := 2*p.baseline + p.longest() + time.Duration(p.kills)*traffic/5
		if took > traffic || took < traffic*9/10 {
			t.Errorf("%v: plan %+v takes %v", traffic, p, took)
		}
		if p.pure < 40*time.Millisecond || p.kills < 1 || p.rounds < 1 {
			t.Errorf("%v: %+v", traffic, p)
		}
	}
}

func TestPercentilesAreOfNearestRank(t *testing.T) {
	var sorted []time.Duration
	for n := range 200 {
		sorted = append(sorted, time.Duration(n+1))
	}
	for basisPoints, want := range map[int]time.Duration{1: 1, 5000: 100, 5001: 101, 9900: 198, 10000: 200} {
		if got := percentile(sorted, basisPoints); got != want {
			t.Errorf("%d: got %d, not %d", basisPoints, got, want)
		}
	}
	if got := percentile(nil, 5000); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestCPUPerRequestIsLessTheBaseline(t *testing.T) {
	used := spent{cpu: 1500 * time.Millisecond, span: time.Second, asked: 1000}
	if got := used.perRequest(0.5); got != time.Millisecond {
		t.Errorf("got %v", got)
	}
	if got := used.perRequest(2); got != 0 {
		t.Errorf("never negative: got %v", got)
	}
	if got := (spent{}).perRequest(1); got != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestTheReservoirKeepsAFairSample(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var h trafficResult
	var late int
	for n := range 10_000 {
		h.asked[2]++
		h.keep(random, ask.Sample{Question: ask.Question{Method: 2}, Answer: ask.Answer{Position: uint64(n)}}, 500)
	}
	for _, s := range h.samples[2] {
		if s.Answer.Position >= 5000 {
			late++
		}
	}
	if len(h.samples[2]) != 500 || late < 200 || late > 300 {
		t.Errorf("%d kept, %d of the second half", len(h.samples[2]), late)
	}
}

func TestComparesSeeEveryMethodEarly(t *testing.T) {
	var samples [methods][]ask.Sample
	for m, n := range []int{9, 1, 3, 0, 3} {
		for range n {
			samples[m] = append(samples[m], ask.Sample{Question: ask.Question{Method: m}})
		}
	}
	var order []int
	for _, s := range interleave(samples) {
		order = append(order, s.Question.Method)
	}
	want := []int{0, 1, 2, 4, 0, 2, 4, 0, 2, 4, 0, 0, 0, 0, 0, 0}
	if len(order) != len(want) {
		t.Fatalf("got %v", order)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("got %v", order)
		}
	}
}

// good returns a report that passes.
func good() *report {
	r := &report{
		AnswersCompared: 50, ServedBySidecar: 1, SidecarKills: 1,
		Kills: []kill{{Door: rig.Stock, ComparedAfter: 1, Asked: 1234, CaughtUpMs: 2345, Reloaded: 520_000}},
		Doors: []doorRow{
			{Door: rig.Stock, SidecarShare: 1, LegacyShare: 1, ServedBySidecar: 4, Kills: 1, WalletdRSS: 350e6},
			{Door: rig.Spliced, SidecarShare: 1, LegacyShare: 1, ServedBySidecar: 4, Kills: 1, BelowGRPC: 3},
		},
	}
	for m := range methods {
		r.Methods = append(r.Methods, methodRow{
			Method: ask.Name(m), Asked: 12_345 * (m + 1), Equal: 10, Legacy: sideFigure{9, 56.78, 1234.4, 300},
			Sidecar: sideFigure{9, 31.26, 99, 60}, Spliced: sideFigure{9, 11.26, 99, 30},
		})
	}
	return r
}

func TestTheVerdictNamesEachProblem(t *testing.T) {
	if problems := good().judge(); len(problems) > 0 {
		t.Fatalf("a good run: %v", problems)
	}
	for want, spoil := range map[string]func(*report){
		"differ":                     func(r *report) { r.AnswersDifferent = 1 },
		"requests failed":            func(r *report) { r.RequestsFailed = 1 },
		"nothing was compared":       func(r *report) { r.AnswersCompared = 0 },
		"no answer of GetTimeSeries": func(r *report) { r.Methods[4].Equal = 0 },
		"stock front door the sidecar never served":       func(r *report) { r.Doors[0].ServedBySidecar = 0 },
		"spliced front door the sidecar answered only":    func(r *report) { r.Doors[1].SidecarShare = 0.98 },
		"stock front door Go answered only":               func(r *report) { r.Doors[0].LegacyShare = 0.5 },
		"spliced front door the sidecar was never killed": func(r *report) { r.Doors[1].Kills = 0 },
		"stock front door 1 requests were answered below": func(r *report) { r.Doors[0].BelowGRPC = 1 },
		"spliced front door 0 requests were answered":     func(r *report) { r.Doors[1].BelowGRPC = 0 },
		"only 1 front doors were tried":                   func(r *report) { r.Doors = r.Doors[:1] },
		"nothing was compared after kill":                 func(r *report) { r.Kills[0].ComparedAfter = 0 },
	} {
		r := good()
		spoil(r)
		if problems := strings.Join(r.judge(), "; "); !strings.Contains(problems, want) {
			t.Errorf("%q: got %q", want, problems)
		}
	}
}

// A single sidecar that is killed leaves its load to the database. Of two, the other one takes it.
func TestTheDatabaseMayRefuseOnlyWithoutASecondSidecar(t *testing.T) {
	for sidecars, bad := range map[int]bool{1: false, 2: true} {
		r := good()
		r.Sidecars, r.RequestsFailed, r.Refused = sidecars, 3, 3
		if got := len(r.judge()) > 0; got != bad {
			t.Errorf("with %d: %q", sidecars, r.judge())
		}
		if r.RequestsFailed++; len(r.judge()) == 0 {
			t.Errorf("with %d, another failure passes", sidecars)
		}
	}
}

func TestTheSummaryOfKillsNamesTheTakeOver(t *testing.T) {
	r := good()
	r.Sidecars, r.Kills[0].TakenOverMs = 2, 12
	text := r.summaryOfKills()
	for _, want := range []string{"kill 1 (stock): 0 of 1,234 failed, Go answered 0; the other one was asked after 0.01 s\n",
		"walletd 350 MB, 2 of hotpathd 0 MB"} {
		if !strings.Contains(text, strings.ReplaceAll(want, "\\n", "\n")) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "%!") || strings.Contains(r.Kills[0].text(1), "%!") {
		t.Errorf("%s\n%s", text, r.Kills[0].text(1))
	}
}

func TestTheTableIsAligned(t *testing.T) {
	table := good().table()
	lines := strings.Split(strings.TrimRight(table, "\n"), "\n")
	if len(lines) != 2+methods+1+2 {
		t.Fatalf("%d lines:\n%s", len(lines), table)
	}
	width := len([]rune(lines[1]))
	for _, line := range lines[2 : len(lines)-1] {
		if len([]rune(line)) != width {
			t.Errorf("%d wide, not %d: %s", len([]rune(line)), width, line)
		}
	}
	for _, want := range []string{"p50 µs", "56.8", "31.3", "11.3", "5.0x", "10.0x", "185,175"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in\n%s", want, table)
		}
	}
}

func TestTheSummaryTellsBothDoorsApart(t *testing.T) {
	text := good().summary()
	for _, want := range []string{"stock front door: the sidecar answered 100.00%", "4 answers by the sidecar in all, 0 by Go; 3 never reached grpc-go",
		"kill 1 (stock): 0 failed", "memory behind the stock front door: walletd 350 MB"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "more CPU than it saves") || strings.Contains(text, "%!") {
		t.Errorf("%s", text)
	}
	r := good()
	r.Methods[1].Sidecar.CPUUs = 1000
	if text := r.summary(); !strings.Contains(text, "behind the stock front door costs more CPU than it saves: BatchGetBalances.\n") ||
		strings.Contains(text, "behind the spliced front door costs") {
		t.Errorf("%s", text)
	}
}

func TestBothDoorsAddUp(t *testing.T) {
	d := &demo{config: config{Ledger: command.Ledger{Out: "o"}}}
	for i, door := range rig.Doors() {
		res := newResults(door)
		res.tally.equal[0], res.tally.different[1], res.sameSide, res.disturbed = 10*(i+1), i, 1, 2
		res.served = map[rig.Mode]uint64{rig.SidecarMode: uint64(7 + i), rig.Legacy: 5}
		res.kills, res.trafficTook = []kill{{Door: door}}, time.Second
		res.latency[rig.SidecarMode].latency[0] = []time.Duration{time.Duration(i+1) * time.Microsecond}
		d.all = append(d.all, res)
	}
	r := d.report()
	if r.AnswersCompared != 29 || r.AnswersDifferent != 1 || r.ComparedWithItself != 2 || r.StretchesRepeated != 4 ||
		r.ServedBySidecar != 15 || r.ServedByLegacy != 10 || r.SidecarKills != 2 || r.TrafficSeconds != 2 {
		t.Errorf("%+v", r)
	}
	if m := r.Methods[0]; m.Equal != 30 || m.Sidecar.P50Us != 1 || m.Spliced.P50Us != 2 || m.Legacy.Measured != 0 {
		t.Errorf("%+v", m)
	}
	if r.Doors[0].Door != rig.Stock || r.Doors[1].ServedBySidecar != 8 || r.Kills[1].Door != rig.Spliced {
		t.Errorf("%+v, %+v", r.Doors, r.Kills)
	}
}

func TestTheReportHasTheNamesThatOthersRead(t *testing.T) {
	r := (&demo{
		all: []*results{newResults(rig.Stock)}, config: config{Ledger: command.Ledger{Out: "o"}}, traffic: traffic{mix: mix.New([]mix.Place{{}}, []int64{0})},
	}).report()
	if r.Passed {
		t.Error("a run without anything passed")
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"answers_compared", "answers_different", "requests_failed", "sidecar_kills",
		"served_by_sidecar", "served_by_legacy", "methods", "machine", "seed"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTheNextStepsNameThisRun(t *testing.T) {
	d := newDemo(config{
		Ledger:  command.Ledger{Out: "target/demo", Walletd: "target/bin/walletd", Hotpathd: "h"},
		traffic: time.Minute,
	}, nil)
	d.traffic.mix = mix.New([]mix.Place{{Account: "acc-7", Asset: "GBP"}}, []int64{0})
	text := d.nextSteps()
	for _, want := range []string{"target/bin/walletd serve --db target/demo/ledger.db", `"acc-7"`,
		"pprof", "modes.toml", string(rig.Legacy)} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "%!") {
		t.Errorf("bad format:\n%s", text)
	}
}
