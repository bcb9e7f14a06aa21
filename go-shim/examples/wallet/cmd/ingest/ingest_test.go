package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// small is a whole run in seconds. The long account still has enough entries for a merge.
func small(t *testing.T) config {
	t.Helper()
	hotpathd, err := rig.FindHotpathd()
	if err != nil {
		t.Fatal(err)
	}
	return config{
		hotpathd: hotpathd, out: filepath.Join(t.TempDir(), "out"), seed: 1, phases: allPhases(), entries: 80_000, busyEntries: 5_000,
		rate: 500, seconds: 2, readers: 2, readRate: 100, every: 20, retainMS: 100, settle: restEvery,
		rounds: 3, questions: 64,
	}
}

func begun(t *testing.T, c config) *run {
	t.Helper()
	r, err := begin(t.Context(), c, console.New(os.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	return r
}

func TestASmallRunMeasuresEveryPhase(t *testing.T) {
	c := small(t)
	r, err := ingest(t.Context(), c, console.New(os.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	if r.Wrong != "" || r.Checked != checked {
		t.Errorf("%d checked: %s", r.Checked, r.Wrong)
	}
	if f := r.Fill; f.Entries < c.entries || f.OfLong != r.Ledger.Longest || f.Bytes < int64(f.Entries) || f.PerSecond <= 0 || f.Merges == 0 ||
		f.CPU.Hotpathd <= 0 || f.Full.Resident <= f.Empty.Resident || f.Full.Peak < f.Full.Resident {
		t.Errorf("fill: %+v", f)
	}
	if f := r.Busy; f.Entries < c.busyEntries || f.OfLong == 0 || f.Transactions == 0 || f.PerSecond <= 0 ||
		f.Balances.Count+f.Statistics.Count < c.readers || f.AnswersPerSecond <= 0 {
		t.Errorf("busy: %+v", f)
	}
	commits := c.rate * c.seconds
	f := r.Live
	if f.Transactions != commits || f.OfLong == 0 || f.Visible.Count+f.Missed != commits/c.every || f.Again.Count != f.Visible.Count ||
		f.Visible.Min < f.Begun.Min || f.Again.Min <= 0 || f.Balances.Count+f.Statistics.Count < c.readers || len(f.Samples) < 2 {
		t.Errorf("live: %+v", f)
	}
	first, last := f.Samples[0], f.Samples[len(f.Samples)-1]
	if last.Entries-first.Entries != f.Entries || r.Churn.Before.Settled && first.Versions != 1 || first.Resident == 0 {
		t.Errorf("samples from %+v to %+v, %d entries", first, last, f.Entries)
	}
	if r.Churn.OfAll <= 0 || r.Churn.Before.Resident == 0 || r.Churn.After.Resident == 0 || r.Tool.Peak == 0 {
		t.Errorf("churn: %+v, tool: %+v", r.Churn, r.Tool)
	}
	if f := r.Offload; len(f.Rounds) != c.rounds || f.Series.Count != c.rounds*c.questions/2 || f.Totals.Count != f.Series.Count ||
		f.Offloaded < uint64(f.Series.Count) || f.Before.Allocated == 0 || f.Rounds[2].Allocated == 0 || f.Rounds[2].Threads == 0 {
		t.Errorf("offload: %+v", f)
	}
	written(t, c.out, f.Visible.Count)
}

// written checks the files.
func written(t *testing.T, out string, commits int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, reportFile))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil || bytes.Contains(text, []byte(out)) {
		t.Errorf("%v, or names a folder of this machine:\n%s", err, text)
	}
	for _, key := range []string{"facts", "goals", "ledger", "fill", "busy", "live", "churn", "offload", "tool", "checked_balances"} {
		if got[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	file, err := os.Open(filepath.Join(out, commitsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if rows, err := csv.NewReader(file).ReadAll(); err != nil || len(rows) != commits+1 || rows[1][0] >= rows[2][0] {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if log := proc.LastLines(filepath.Join(out, "shim.log"), 100); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		t.Errorf("the shim complained:\n%s", log)
	}
}

func TestOnlyTheAskedPhasesAreReported(t *testing.T) {
	c := small(t)
	c.phases, c.entries = []string{busy}, 2_000
	r, err := ingest(t.Context(), c, console.New(os.Stdout))
	if err != nil || r.Fill != nil || r.Busy == nil || r.Live != nil || r.Churn != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(c.out, commitsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerThatDiffersIsFound(t *testing.T) {
	c := small(t)
	c.phases, c.entries = nil, 2_000
	r := begun(t, c)
	r.maker.accounts[r.long].balances[asset].CreditsPosted++
	if err := r.carryOut(t.Context()); err != nil || !strings.Contains(r.report.Wrong, "balances of "+r.long) {
		t.Errorf("%v: %q", err, r.report.Wrong)
	}
}

func TestEveryReaderHasAtLeastOneAnswer(t *testing.T) {
	c := small(t)
	c.phases, c.entries, c.readers = nil, 2_000, 3
	r := begun(t, c)
	if err := r.carryOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	close(stop)
	got := r.readers.run(t.Context(), stop, time.Hour, func(err error) { t.Error(err) })
	if len(got.balances)+len(got.statistics) != c.readers {
		t.Errorf("%+v", got)
	}
	var failed error
	r.readers.accounts, r.readers.long = []string{"nobody"}, "nobody"
	r.readers.conns = r.readers.conns[:1]
	r.readers.run(t.Context(), stop, 0, func(err error) { failed = err })
	if failed == nil || !strings.Contains(failed.Error(), "NotFound") {
		t.Errorf("%v", failed)
	}
}

func TestARefusedEventEndsTheRun(t *testing.T) {
	c := small(t)
	c.entries = 2_000
	r := begun(t, c)
	r.source.add(1, func(b []byte, _ uint64) []byte { return append(b, 0xff) })
	if err := r.carryOut(t.Context()); !errors.Is(err, errLost) || !strings.Contains(err.Error(), "FEED_BAD_EVENT") {
		t.Errorf("%v", err)
	}
}

func TestAWaitEndsWithHotpathd(t *testing.T) {
	c := small(t)
	c.entries = 2_000
	r := begun(t, c)
	ctx, forget := r.sidecar.alive(t.Context())
	defer forget()
	// It can neither publish anything nor end by itself.
	if err := r.sidecar.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := r.sidecar.feed(ctx); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- r.sidecar.published(ctx, 1) }()
	r.sidecar.Kill()
	if err := <-waited; !errors.Is(err, proc.ErrEnded) {
		t.Errorf("%v", err)
	}
}

func TestALostHotpathdEndsTheRun(t *testing.T) {
	c := small(t)
	c.phases, c.entries, c.seconds = []string{live}, 2_000, 600
	r := begun(t, c)
	filled := r.source.made()
	go func() {
		for r.source.Head() <= filled {
			time.Sleep(time.Millisecond)
		}
		r.sidecar.Kill()
	}()
	err := r.carryOut(t.Context())
	// A reader may notice first.
	if err == nil || !errors.Is(err, proc.ErrEnded) && !strings.Contains(err.Error(), "was not answered") {
		t.Errorf("%v", err)
	}
}
