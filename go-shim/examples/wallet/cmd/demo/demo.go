package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/poster"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// demo is one run.
type demo struct {
	config  config
	say     *console.Console
	plan    plan
	walletd *rig.Walletd
	traffic traffic
	poster  poster.Poster
	found   ask.Differences
	// results are those behind the front door that serves. all has those behind every door so far.
	results *results
	all     []*results
	ledger  ledgerFacts
	took    time.Duration
}

// The waits reach these limits only if something is broken.
const (
	startWithin = 2 * time.Minute
	modeWithin  = 30 * time.Second
	backWithin  = time.Minute
	stopGrace   = 10 * time.Second
	postTimeout = 10 * time.Second
	// surveyed is how many transactions are read to learn which accounts are busy.
	surveyed = 3000
)

// endsTooOften is the number of restarts after which the demo no longer waits for a sidecar that has never served.
const endsTooOften = 3

var errSidecarEnds = errors.New("the sidecar ends as soon as it is started; the last lines say why")

func newDemo(c config, say *console.Console) *demo {
	d := &demo{config: c, say: say, found: ask.Differences{Dir: c.Path("differences")}}
	traffic := c.traffic / time.Duration(len(rig.Doors()))
	d.plan, d.traffic.comparers = planFor(traffic), manyAskers
	if c.oneCopy() {
		// As many reads of the database run at once, and none has to wait.
		d.plan, d.traffic.comparers = planKills(traffic), store.DefaultViews
	}
	return d
}

// run carries out the whole demonstration. It fails only if that is not possible; the report has what it found.
func (d *demo) run(ctx context.Context) (*report, error) {
	start := time.Now()
	d.say.Line("hotpath demo: %s (in %s)\n", d.subject(), d.config.Out)
	if err := d.config.Clear("report.json"); err != nil {
		return nil, err
	}
	if err := d.generate(ctx); err != nil {
		return nil, err
	}
	defer d.stop()
	for _, door := range rig.Doors() {
		if err := d.behind(ctx, door); err != nil {
			return nil, err
		}
		d.stop()
	}
	// Commands that the user tries by hand afterwards start in the same mode as the traffic.
	if err := rig.WriteModes(d.config.Path("modes.toml"), rig.SidecarMode); err != nil {
		return nil, err
	}
	d.took = time.Since(start)
	return d.finish()
}

// behind carries out the part that is the same behind each front door.
func (d *demo) behind(ctx context.Context, door rig.Door) error {
	d.say.Line("\nbehind the %s front door", door)
	d.results = newResults(door)
	d.all = append(d.all, d.results)
	if err := d.serve(ctx, door); err != nil {
		return err
	}
	if err := d.connect(ctx); err != nil {
		return err
	}
	stopPosting, cancel := context.WithCancel(ctx)
	defer cancel()
	var posting sync.WaitGroup
	posting.Go(func() { d.poster.Run(stopPosting) })
	trafficStart := time.Now()
	err := d.ask(ctx)
	d.results.trafficTook = time.Since(trafficStart)
	cancel()
	posting.Wait()
	if err != nil {
		return err
	}
	return d.account(ctx)
}

func (d *demo) generate(ctx context.Context) error {
	c := d.config
	d.say.Passing("generating a ledger of %s accounts (seed %d) …", console.Count(c.Accounts), c.Seed)
	start := time.Now()
	if err := c.Generate(ctx); err != nil {
		return err
	}
	info, err := os.Stat(d.config.Path(command.LedgerFile))
	if err != nil {
		return fmt.Errorf("walletd generate wrote no ledger: %w", err)
	}
	d.ledger = ledgerFacts{
		Seed: c.Seed, Transactions: c.Transactions, Bytes: info.Size(), GenerateSeconds: seconds(time.Since(start)),
	}
	d.say.Step("ledger generated: %s transactions, %s in %.1f s (seed %d)", console.Count(c.Transactions),
		console.Megabytes(info.Size()), d.ledger.GenerateSeconds, c.Seed)
	return nil
}

func (d *demo) serve(ctx context.Context, door rig.Door) error {
	modes := d.config.Path("modes.toml")
	if err := rig.WriteModes(modes, rig.SidecarMode); err != nil {
		return err
	}
	d.say.Passing("starting walletd …")
	start := time.Now()
	var err error
	d.walletd, err = rig.StartWalletd(rig.WalletdSpec{
		Bin: d.config.Walletd, Dir: d.config.Out, DB: d.config.Path(command.LedgerFile), Sidecar: rig.Supervise,
		SidecarBin: d.config.Hotpathd, Socket: d.config.Path("hotpathd.sock"), Modes: modes, Door: door, StartWithin: startWithin,
		Args: []string{"--read-model", d.config.readModel, "--sidecars", fmt.Sprint(d.config.sidecars)},
	})
	if err != nil {
		return err
	}
	d.ledger.Accounts, d.ledger.Entries, err = d.walletd.Size(ctx)
	if err != nil {
		return err
	}
	d.say.Step("walletd serves %s accounts with %s entries on %s, after %.1f s", console.Count(d.ledger.Accounts),
		console.Count(d.ledger.Entries), d.walletd.GRPC, time.Since(start).Seconds())
	loaded, err := d.walletd.AwaitShim("the sidecar has loaded the ledger", startWithin, func(s rig.Shim) bool {
		d.say.Passing("the sidecar loads: position %s of %s", console.Count(s.Position), console.Count(s.Head))
		return ctx.Err() != nil || s.Restarts >= endsTooOften || s.AllReady && s.Head > 0 && s.CaughtUp()
	})
	if err != nil {
		return err
	}
	if !loaded.Ready && loaded.Restarts >= endsTooOften {
		return d.walletd.Explain(errSidecarEnds)
	}
	d.results.loadSeconds = seconds(time.Since(start))
	d.say.Step("%s has loaded all of it and serves, %.1f s after walletd was started", d.eachSidecar(), d.results.loadSeconds)
	return ctx.Err()
}

// connect opens the connections for questions and posts. At the first time it also finds out which accounts are busy.
func (d *demo) connect(ctx context.Context) error {
	for range connections {
		conn, err := ask.Dial(d.walletd.GRPC)
		if err != nil {
			return err
		}
		d.traffic.conns = append(d.traffic.conns, conn)
	}
	d.poster.Wallet = walletv1.NewWalletServiceClient(d.traffic.conns[0])
	if d.traffic.mix == nil {
		if err := d.survey(ctx); err != nil {
			return err
		}
	}
	d.say.Step("posting %d transactions a second from now on; asking over %d connections", d.config.postRate, connections)
	return nil
}

// survey finds out which accounts are busy, and prepares the traffic and the poster.
func (d *demo) survey(ctx context.Context) error {
	shim, err := d.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(d.config.Seed, 0))
	d.traffic.mix, err = mix.Survey(ctx, d.poster.Wallet, shim.Head, surveyed, random)
	if err != nil {
		return err
	}
	d.traffic.seed = d.config.Seed
	makes := &poster.Transactions{Mix: d.traffic.mix, Random: random, NowUs: d.traffic.mix.LastUs()}
	d.poster.Next = makes.Next
	d.poster.Timeout = postTimeout
	d.poster.Every = time.Second / time.Duration(d.config.postRate)
	return nil
}

// account reads the shim's counts and the memory of both processes, while they still run.
func (d *demo) account(ctx context.Context) error {
	shim, err := d.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	d.results.served, d.results.fallbacks, d.results.below = shim.Served, shim.Reasons, shim.Below
	d.results.rss = [2]int64{}
	for i, pid := range d.pids() {
		account, err := proc.AccountOf(pid)
		if err != nil {
			return err
		}
		d.results.rss[min(i, 1)] += account.RSS
	}
	return nil
}

func (d *demo) stop() {
	for _, conn := range d.traffic.conns {
		_ = conn.Close()
	}
	d.traffic.conns = nil
	if d.walletd != nil {
		d.walletd.Stop(stopGrace)
		d.walletd = nil
	}
}

// finish writes the report and prints the table, the summary and the next steps.
func (d *demo) finish() (*report, error) {
	r := d.report()
	if err := r.write(d.config.Path("report.json")); err != nil {
		return nil, err
	}
	if d.config.oneCopy() {
		d.say.Line("\n%s", r.summaryOfKills())
		return r, errors.Join(d.found.Problem)
	}
	d.say.Line("\n%s", r.table())
	d.say.Line("%s", r.summary())
	d.say.Line("%s", d.nextSteps())
	return r, errors.Join(d.found.Problem)
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
