package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// run is one run, from the first event to the report.
type run struct {
	config  config
	say     *console.Console
	maker   *maker
	source  *source
	sidecar *sidecar
	readers readers
	// long is the account with the most entries.
	long string
	// empty is the resident memory of hotpathd before the first event.
	empty  int64
	report *report
}

// ingest carries out a whole run. It fails if nothing can be said about the figures; a wrong answer is in the report.
func ingest(ctx context.Context, c config, say *console.Console) (*report, error) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	r, err := begin(ctx, c, say)
	if err != nil {
		return nil, err
	}
	defer r.end()
	if err := r.carryOut(ctx); err != nil {
		return nil, err
	}
	if r.report.Tool, err = proc.MemoryOf(os.Getpid()); err != nil {
		return nil, err
	}
	for _, line := range r.report.table() {
		say.Line("%s", line)
	}
	if err := r.report.write(c.out); err != nil {
		return nil, err
	}
	if r.report.Wrong != "" {
		say.Step("WRONG: %s", r.report.Wrong)
	} else {
		say.Step("%d balances are as this program added them up; the figures are in %s", r.report.Checked,
			filepath.Join(c.out, reportFile))
	}
	return r.report, nil
}

// carryOut runs all phases. It ends early if hotpathd does.
func (r *run) carryOut(ctx context.Context) error {
	ctx, forget := r.sidecar.alive(ctx)
	defer forget()
	for _, step := range []func(context.Context) error{r.fill, r.prepareReaders, r.busy, r.live, r.offload, r.check} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the ledger and starts an empty hotpathd.
func begin(ctx context.Context, c config, say *console.Console) (*run, error) {
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	for _, name := range []string{reportFile, commitsFile, "hotpathd.log", "shim.log"} {
		if err := os.RemoveAll(filepath.Join(c.out, name)); err != nil {
			return nil, fmt.Errorf("--out: %w", err)
		}
	}
	r := &run{
		config: c, say: say, maker: newMaker(c.seed, c.entries), source: newSource(fmt.Sprintf("ingest-%d", c.seed)),
		report: &report{Facts: factsOf(ctx, c), Goals: theGoals},
	}
	say.Step("a ledger of %s entries is made", console.Count(c.entries))
	r.maker.fill(r.source, c.entries)
	r.long = r.maker.byLength()[0]
	r.report.Ledger = r.maker.skew()
	var err error
	r.sidecar, err = startSidecar(c, r.source)
	return r, err
}

func (r *run) end() {
	hangUp(r.readers.conns)
	r.sidecar.close()
}

// part is what a phase adds to the ledger.
type part struct {
	Transactions int `json:"transactions"`
	Entries      int `json:"entries"`
	// OfLong are the entries of the account with the most.
	OfLong int `json:"entries_of_the_longest_account"`
}

// more has the maker add to the ledger, and says what. Nothing of it is committed.
func (r *run) more(add func()) part {
	before, entries, ofLong := r.source.made(), r.maker.made, r.maker.accounts[r.long].entries
	add()
	return part{
		Transactions: int(r.source.made() - before), Entries: r.maker.made - entries,
		OfLong: r.maker.accounts[r.long].entries - ofLong,
	}
}

// fillFigures say how the first ledger was taken in.
type fillFigures struct {
	part
	// Bytes are those of the encoded events.
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	CPU     cpu     `json:"cpu_seconds"`
	rates
	merges
	// Empty is hotpathd before the first event, Full after the last one, once it rests.
	Empty         rested  `json:"empty"`
	Full          rested  `json:"full"`
	BytesPerEntry float64 `json:"resident_bytes_per_entry"`
}

// rates are entries per second: of time, of CPU time of the writer and of the thread that decodes, and of all of
// hotpathd's. One that is zero was over too soon to be measured.
type rates struct {
	PerSecond         float64 `json:"entries_per_second"`
	PerWriterSecond   float64 `json:"entries_per_cpu_second_of_the_writer"`
	PerDecodingSecond float64 `json:"entries_per_cpu_second_of_decoding"`
	PerCPUSecond      float64 `json:"entries_per_cpu_second_of_hotpathd"`
}

func ratesOf(entries int, seconds float64, used cpu) rates {
	return rates{
		PerSecond: per(entries, seconds), PerWriterSecond: per(entries, used.Writer),
		PerDecodingSecond: per(entries, used.Decoding), PerCPUSecond: per(entries, used.Hotpathd),
	}
}

// fill offers the first ledger at once.
func (r *run) fill(ctx context.Context) error {
	f := &fillFigures{Bytes: r.source.size(), part: part{
		Transactions: int(r.source.made()), Entries: r.maker.made, OfLong: r.maker.accounts[r.long].entries,
	}}
	var err error
	if f.Empty, err = r.sidecar.rest(ctx, r.config); err != nil {
		return err
	}
	r.empty = f.Empty.Resident
	r.say.Step("fill: %s entries are offered at once", console.Count(f.Entries))
	r.source.commit(r.source.made())
	if f.Seconds, f.CPU, err = r.timed(func() error {
		if err := r.sidecar.feed(ctx); err != nil {
			return err
		}
		return r.sidecar.published(ctx, r.source.made())
	}); err != nil {
		return err
	}
	r.say.Step("fill: taken in after %.2f s; waiting until memory stays the same", f.Seconds)
	if f.Full, err = r.sidecar.rest(ctx, r.config); err != nil {
		return err
	}
	now, _, err := r.sidecar.look(ctx)
	f.merges, f.rates = now.merges, ratesOf(f.Entries, f.Seconds, f.CPU)
	f.BytesPerEntry = per(int(f.Full.Resident-r.empty), float64(f.Entries))
	if r.config.runs(fill) {
		r.report.Fill = f
	}
	return err
}

// timed measures what something takes.
func (r *run) timed(do func() error) (seconds float64, used cpu, err error) {
	before, err := usedBy(r.sidecar.Pid())
	if err != nil {
		return 0, cpu{}, r.sidecar.Explain(err)
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, cpu{}, err
	}
	seconds = time.Since(began).Seconds()
	after, err := usedBy(r.sidecar.Pid())
	if err != nil {
		return 0, cpu{}, r.sidecar.Explain(err)
	}
	return seconds, after.since(before), nil
}

// prepareReaders connects them, and has each ask once. Only now are there accounts to ask about.
func (r *run) prepareReaders(ctx context.Context) (err error) {
	r.readers = readers{
		long: r.long, accounts: r.maker.byLength(), fromUS: r.maker.fromUS, toUS: r.maker.toUS, seed: r.config.seed,
	}
	if r.readers.conns, err = dial(r.sidecar.Listen, r.config.readers); err != nil {
		return err
	}
	return greet(ctx, r.readers.conns, r.long)
}

// greet asks once on each connection. It is made with the first question, and would else be part of a figure.
func greet(ctx context.Context, conns []*grpc.ClientConn, id string) error {
	for _, conn := range conns {
		if _, err := answered(ctx, conn, ask.New(balances, &walletv1.GetBalanceRequest{AccountId: id}), nil); err != nil {
			return err
		}
	}
	return nil
}
