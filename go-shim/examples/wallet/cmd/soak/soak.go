package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/poster"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// waitLimit bounds waits. They reach it only if something is broken.
const waitLimit = 3 * time.Minute

const (
	stopGrace = 10 * time.Second
	// surveyed is how many transactions are read to learn which accounts are busy.
	surveyed = 3000
	// crowded is the service's limit of accounts in a batch.
	crowded = 1000
	// sampleEvery is how often both processes are read under load.
	sampleEvery = time.Second
)

// retain is how long the sidecar keeps old versions. The default is half a minute, which is too long to wait for at
// each rest. Without the wait, the kept versions would cause most of the change of its memory from rest to rest.
const retain = 2 * time.Second

// promptPurge makes the sidecar's allocator, mimalloc, return freed memory at once. Without it resident memory varies
// twice as much from rest to rest, and only a leak twice as large would show.
const promptPurge = "MIMALLOC_PURGE_DELAY=0"

// soak is one run, behind one front door.
type soak struct {
	config  config
	door    rig.Door
	say     *console.Console
	plan    plan
	walletd *rig.Walletd
	traffic traffic
	found   ask.Differences
	start   time.Time
	counted counted
	// base is the first sample at rest.
	base *sample

	mu      sync.Mutex
	samples []sample
}

// counted counts what the run did, apart from requests.
type counted struct {
	stretches, kills, stops int
	equal, different        [methods]int
}

func newSoak(c config, door rig.Door, say *console.Console) *soak {
	return &soak{
		config: c, door: door, say: say, plan: planFor(c), found: ask.Differences{Dir: c.Path("differences")},
	}
}

func (s *soak) keep(one sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, one)
}

// run carries out the whole soak. It fails only if that is not possible; the summary has what it found.
func (s *soak) run(ctx context.Context) (*summary, error) {
	if err := s.config.Clear("samples.csv"); err != nil {
		return nil, err
	}
	defer s.close()
	for _, step := range []func(context.Context) error{s.serve, s.prepare, s.stretches} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s.finish()
}

func (s *soak) serve(ctx context.Context) error {
	c := s.config
	if err := c.Generate(ctx); err != nil {
		return err
	}
	if err := rig.WriteModes(s.config.Path("modes.toml"), rig.Legacy); err != nil {
		return err
	}
	var err error
	s.walletd, err = rig.StartWalletd(rig.WalletdSpec{
		Bin: c.Walletd, Dir: c.Out, DB: s.config.Path(command.LedgerFile), Sidecar: rig.Supervise, SidecarBin: c.Hotpathd,
		Socket: s.config.Path("hotpathd.sock"), Modes: s.config.Path("modes.toml"), Door: s.door, StartWithin: waitLimit,
		Env: []string{fmt.Sprintf("HOTPATHD_RETAIN_MS=%d", retain.Milliseconds()), promptPurge},
	})
	if err != nil {
		return err
	}
	_, err = s.walletd.AwaitShim("the sidecar has loaded the ledger", waitLimit, func(now rig.Shim) bool {
		return ctx.Err() != nil || now.Head > 0 && now.CaughtUp()
	})
	return errors.Join(err, ctx.Err())
}

// prepare surveys the ledger, and gets Go's answers to malformed requests.
func (s *soak) prepare(ctx context.Context) error {
	t := &s.traffic
	for range connections {
		conn, err := ask.Dial(s.walletd.GRPC)
		if err != nil {
			return err
		}
		t.conns = append(t.conns, conn)
	}
	shim, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	wallet := walletv1.NewWalletServiceClient(t.conns[0])
	random := rand.New(rand.NewPCG(s.config.Seed, 0))
	t.seed, t.head = s.config.Seed, shim.Head
	if t.mix, err = mix.Survey(ctx, wallet, shim.Head, surveyed, random); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, place := range t.mix.Busiest(t.mix.Accounts()) {
		if !seen[place.Account] && len(t.crowd) < crowded {
			seen[place.Account] = true
			t.crowd = append(t.crowd, place.Account)
		}
	}
	makes := &poster.Transactions{Mix: t.mix, Random: random, NowUs: t.mix.LastUs()}
	t.poster = &poster.Poster{
		Wallet: wallet, Next: makes.Next, Every: time.Second / time.Duration(s.config.postRate), Timeout: waitLimit,
	}
	for _, bad := range malformedRequests() {
		bad.reference = ask.Put(ctx, t.conns[0], bad.question, bad.md)
		t.bad = append(t.bad, bad)
	}
	return errors.Join(s.walletd.Switch(rig.SidecarMode, waitLimit), ctx.Err())
}

// stretches runs stretches until there are enough.
func (s *soak) stretches(ctx context.Context) error {
	s.start = time.Now()
	for n := 0; !s.plan.enough(s.quiet(), time.Since(s.start), s.config.lasts); n++ {
		what := s.plan.at(n)
		if err := s.load(ctx, n, what); err != nil {
			return err
		}
		if err := s.compare(ctx); err != nil {
			return err
		}
		if err := s.answered(ctx); err != nil {
			return err
		}
		if err := s.rest(ctx, n); err != nil {
			return err
		}
		s.counted.stretches++
		s.progress(n, what)
	}
	return nil
}

// load runs traffic, with the faults of the stretch in the middle.
func (s *soak) load(ctx context.Context, n int, what fault) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { s.traffic.run(asking, s.config.callers, n) })
	group.Go(func() { s.watch(asking, n) })
	began := time.Now()
	pause(ctx, s.plan.load/4)
	err := s.disturb(ctx, what)
	if err == nil {
		// There is some load after the fault, however long the fault took.
		pause(ctx, max(s.plan.load-time.Since(began), s.plan.load/4))
		err = s.walletd.Await("every kind of request and a post", waitLimit, func() bool {
			return ctx.Err() != nil || s.traffic.complete()
		})
	}
	cancel()
	group.Wait()
	return errors.Join(err, ctx.Err())
}

// watch takes samples under load.
func (s *soak) watch(ctx context.Context, stretch int) {
	for {
		pause(ctx, sampleEvery)
		if ctx.Err() != nil {
			return
		}
		now, err := read(ctx, s.walletd)
		if err != nil && !errors.Is(err, errNoSidecar) {
			continue
		}
		now.stretch, now.seconds = stretch, time.Since(s.start).Seconds()
		s.keep(now)
	}
}

// answered waits until the sidecar answers. Then all callers send a few cheap requests, so that every rest follows the
// same load, and each thread of the sidecar can free its memory that other threads have released. On a slow machine
// that may open a breaker, so it closes the breakers again.
func (s *soak) answered(ctx context.Context) error {
	seeds := func(n int) *rand.Rand {
		return rand.New(rand.NewPCG(s.config.Seed, uint64(s.counted.stretches)<<16|uint64(n)))
	}
	if err := s.closeBreakers(ctx, seeds(0)); err != nil {
		return err
	}
	var group sync.WaitGroup
	for n := range s.config.callers {
		group.Go(func() {
			random := seeds(n)
			for range cheapRequests {
				r := s.traffic.request(random, patient)
				r.question = s.traffic.mix.Question(random, 0)
				s.traffic.ask(random, s.traffic.conns[n%connections], r)
			}
		})
	}
	group.Wait()
	return s.closeBreakers(ctx, seeds(0))
}

// closeBreakers asks questions until the sidecar has answered and no breaker is open. At rest nobody asks, so an open
// breaker would stay open.
func (s *soak) closeBreakers(ctx context.Context, random *rand.Rand) error {
	before, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	_, err = s.walletd.AwaitShim("the sidecar answers and no breaker is open", waitLimit, func(now rig.Shim) bool {
		if ctx.Err() != nil || now.Served[rig.SidecarMode] > before.Served[rig.SidecarMode] && now.BreakersOpen == 0 {
			return true
		}
		s.traffic.ask(random, s.traffic.conns[0], s.traffic.request(random, patient))
		return false
	})
	return errors.Join(err, ctx.Err())
}

// cheapRequests is the number of cheap requests that each caller sends at the end of a stretch.
const cheapRequests = 50

func (s *soak) close() {
	for _, conn := range s.traffic.conns {
		_ = conn.Close()
	}
	if s.walletd != nil {
		s.walletd.Stop(stopGrace)
	}
}
