package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// good is the result of a drill without fault.
func good() *result {
	return &result{
		Drill: "kill", Door: rig.Stock, Requests: 1000, Posts: 200, Compared: 1000, FellBack: 12, DetectedMs: 90, RecoveredMs: 1234,
	}
}

func TestADrillIsJudgedByWhatItFound(t *testing.T) {
	passing := good()
	if passing.judge(); !passing.Passed || len(passing.Why) > 0 {
		t.Fatalf("%+v", passing)
	}
	for want, spoil := range map[string]func(*result){
		"strike: no sidecar":                 func(r *result) { r.problem = errors.New("strike: no sidecar") },
		"nothing showed the fault":           func(r *result) { r.DetectedMs = never },
		"it did not come back":               func(r *result) { r.RecoveredMs = never },
		"1 calls failed":                     func(r *result) { r.Failed = 1 },
		"2 answers were not those of Go":     func(r *result) { r.Wrong = 2 },
		"1 callers did not read":             func(r *result) { r.WrongOwn = 1 },
		"nothing was asked or posted":        func(r *result) { r.Posts = 0 },
		"only 999 of 1000 answers":           func(r *result) { r.Compared = 999 },
		"first of them: GetBalance: no, too": func(r *result) { r.Failed, r.examples = 1, []string{"GetBalance: no", "too"} },
	} {
		r := good()
		spoil(r)
		if r.judge(); r.Passed || !strings.Contains(strings.ReplaceAll(strings.Join(r.Why, "\n"), "; ", ", "), want) {
			t.Errorf("%q: passed %v: %q", want, r.Passed, r.Why)
		}
	}
}

func TestOnlyWrongAnswersMayBeInformation(t *testing.T) {
	r := good()
	r.Information, r.Wrong, r.WrongOwn = true, 3, 1
	if r.judge(); !r.Passed || r.wrongText() != "3 (not judged)" {
		t.Errorf("%+v", r)
	}
	r.Failed = 1
	if r.judge(); r.Passed {
		t.Error("a call that failed is always judged")
	}
	r = good()
	r.Excused, r.Compared = 10, 990
	if r.judge(); !r.Passed {
		t.Errorf("without the calls that met a walletd that was down, all were compared: %+v", r)
	}
}

func TestAReportIsATableAndJSON(t *testing.T) {
	broken := good()
	broken.Drill, broken.Door, broken.RecoveredMs, broken.Notes = "stop", rig.Spliced, never, []string{"seen"}
	all := &report{Drills: []*result{good(), broken}}
	for _, one := range all.Drills {
		one.judge()
	}
	if all.judge(); all.Passed {
		t.Fatal("one has failed")
	}
	text := all.text()
	for _, want := range []string{
		"drill  front door  requests  failed  wrong  fell back  detected after  recovered after",
		"kill       stock     1,000       0      0         12          0.09 s           1.23 s  passed",
		"stop     spliced     1,000       0      0         12          0.09 s            never  FAILED",
		"\nstop, spliced: seen\n", "\nFAILED stop, spliced: it did not come back\n", "\nFAILED\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	dir := t.TempDir()
	if err := all.write(dir); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(dir, reportJSON))
	var again report
	if err != nil || json.Unmarshal(written, &again) != nil || len(again.Drills) != 2 || again.Drills[1].RecoveredMs != never {
		t.Errorf("%v:\n%s", err, written)
	}
	all.Drills = all.Drills[:1]
	if all.judge(); !all.Passed || !strings.HasSuffix(all.text(), "\nPASSED\n") {
		t.Errorf("%s", all.text())
	}
	if (&report{}).judge(); (&report{}).Passed {
		t.Error("a report of nothing has not passed")
	}
}

func TestACallerKnowsItsOwnBalance(t *testing.T) {
	answer := func(at uint64, posted ...int64) ask.Answer {
		reply := new(walletv1.GetBalanceResponse)
		for _, p := range posted {
			reply.Balances = append(reply.Balances, &walletv1.Balance{Asset: "GBP", Posted: p})
		}
		encoded, err := proto.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		return ask.Answer{Code: codes.OK, Reply: encoded, Position: at, HasPosition: true}
	}
	if wrong := holds(answer(7, 28), 28, 7); wrong != "" {
		t.Error(wrong)
	}
	for what, one := range map[string]ask.Answer{"older": answer(6, 28), "another": answer(7, 27), "two": answer(7, 28, 1), "none": answer(8)} {
		if holds(one, 28, 7) == "" {
			t.Errorf("%s passes", what)
		}
	}
}

func TestOnlyCallsThatMeetAnOutageAreExcused(t *testing.T) {
	var c callers
	before := c.turns.Load()
	c.lost(before, "while all is well")
	c.outage.begin()
	c.lost(before, "it died meanwhile")
	during := c.turns.Load()
	c.lost(during, "it was down")
	c.outage.end()
	c.lost(before, "it died meanwhile, and is back")
	c.lost(during, "it was down when this began")
	c.lost(c.turns.Load(), "after that")
	if c.excused != 4 || c.failed.Count() != 2 {
		t.Errorf("%d excused, %q", c.excused, c.failed.Messages())
	}
}

func TestTheTimeOfALogIsThatOfItsLastLine(t *testing.T) {
	at, ok := lastTime("2026-11-28T10:00:06.097332Z  INFO one\n2026-11-29T10:00:07.5Z DEBUG 2026-01-01T00:00:00Z\nmore\n")
	if want := time.Date(2026, 11, 29, 10, 0, 7, 500_000_000, time.UTC); !ok || !at.Equal(want) {
		t.Errorf("%v, %v", at, ok)
	}
	if _, ok := lastTime("no times"); ok {
		t.Error("there is none")
	}
}
