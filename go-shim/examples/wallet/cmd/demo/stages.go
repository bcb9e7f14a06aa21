package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// results holds what the stages measured and counted behind one front door.
type results struct {
	door     rig.Door
	tally    tally
	latency  map[rig.Mode]*trafficResult
	pure     map[rig.Mode]*[methods]spent
	baseline map[rig.Mode]*spent
	// meant counts, per mode, the questions that were asked while that mode was on, without repeated stretches. kept
	// counts those that the mode's side answered, by the shim's own count.
	meant, kept map[rig.Mode]uint64
	// sameSide counts comparisons in which one side may have given both answers.
	sameSide int
	// disturbed counts stretches that were repeated.
	disturbed   int
	kills       []kill
	served      map[rig.Mode]uint64
	fallbacks   map[string]uint64
	below       rig.Below
	rss         [2]int64
	trafficTook time.Duration
	// loadSeconds is the time from the start of walletd until the sidecar served the whole ledger.
	loadSeconds float64
}

func newResults(door rig.Door) *results {
	r := &results{
		door: door, latency: make(map[rig.Mode]*trafficResult), pure: make(map[rig.Mode]*[methods]spent),
		baseline: make(map[rig.Mode]*spent), meant: make(map[rig.Mode]uint64), kept: make(map[rig.Mode]uint64),
	}
	for _, side := range sides {
		r.latency[side], r.pure[side], r.baseline[side] = new(trafficResult), new([methods]spent), new(spent)
	}
	return r
}

// ask runs the part with traffic: baselines, rounds of windows, kills.
func (d *demo) ask(ctx context.Context) error {
	start := time.Now()
	if d.plan.rounds > 0 {
		if err := d.baselines(ctx); err != nil {
			return err
		}
	}
	for round := range d.plan.rounds {
		if err := d.round(ctx, round); err != nil {
			return err
		}
	}
	for n := range d.plan.kills {
		// A further kill takes about as long as the one before.
		if n > 0 && time.Since(start)+d.results.kills[n-1].took > d.plan.lasts {
			break
		}
		if err := d.kill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// baselines measures what both processes use while only transactions are posted.
func (d *demo) baselines(ctx context.Context) error {
	for _, side := range sides {
		if err := d.walletd.Switch(side, modeWithin); err != nil {
			return err
		}
		used, err := measure(d.pids(), func() int {
			pause(ctx, d.plan.baseline)
			return 0
		})
		if err != nil {
			return err
		}
		d.results.baseline[side].merge(used)
	}
	base := d.results.baseline
	d.say.Step("baseline, posting only: %.0f%% of a core in legacy mode, %.0f%% in sidecar mode",
		100*base[rig.Legacy].share(), 100*base[rig.SidecarMode].share())
	return ctx.Err()
}

// round runs four windows: sidecar, legacy, legacy, sidecar. After each change of side, the new side is asked again
// what the other side answered in the window before.
func (d *demo) round(ctx context.Context, n int) error {
	var samples [methods][]ask.Sample
	for i, side := range []rig.Mode{rig.SidecarMode, rig.Legacy, rig.Legacy, rig.SidecarMode} {
		if i != 2 {
			if err := d.walletd.Switch(side, modeWithin); err != nil {
				return err
			}
		}
		compared := ""
		if i == 1 || i == 3 {
			t, err := d.compare(ctx, samples, other(side), side)
			if err != nil {
				return err
			}
			compared = fmt.Sprintf("; %s answers of %s compared, %d differ", console.Count(t.compared()), other(side), t.unequal())
		}
		got, err := d.window(ctx, side)
		if err != nil {
			return err
		}
		samples = got.samples
		d.say.Step("round %d, window %d: %-7s answered %7s questions%s", n+1, i+1, side, console.Count(got.total()), compared)
	}
	return ctx.Err()
}

// window asks the mix, for latencies and answers to compare, and then each method alone, for its CPU time.
func (d *demo) window(ctx context.Context, side rig.Mode) (trafficResult, error) {
	got, err := d.mixedStretch(ctx, side, d.plan.mixed)
	if err != nil {
		return got, err
	}
	d.results.latency[side].merge(trafficResult{asked: got.asked, latency: got.latency, took: got.took})
	for m := range methods {
		d.say.Passing("%s: %s alone", side, ask.Name(m))
		var used spent
		var unread error
		err := d.undisturbed(ctx, side, func() int {
			stop, cancel := context.WithTimeout(ctx, d.plan.pure)
			defer cancel()
			used, unread = measure(d.pids(), func() int { return d.traffic.ask(stop, manyAskers, m, 0).asked[m] })
			return used.asked
		})
		if err = errors.Join(err, unread); err != nil {
			return got, err
		}
		d.results.pure[side][m].merge(used)
		got.asked[m] += used.asked
	}
	return got, nil
}

func (d *demo) mixedStretch(ctx context.Context, side rig.Mode, span time.Duration) (trafficResult, error) {
	var got trafficResult
	err := d.undisturbed(ctx, side, func() int {
		stop, cancel := context.WithTimeout(ctx, span)
		defer cancel()
		got = d.traffic.ask(stop, fewAskers, mixed, d.plan.keep)
		return got.total()
	})
	return got, err
}

// tries is how often a stretch is tried before it counts as it is. If the machine stalls for a moment, the shim lets Go
// answer, as it should. But then the stretch measures neither side.
const tries = 3

// undisturbed runs do, which asks questions and returns their number. It checks by the shim's own count that the given
// side answered them, and runs do again if not. So callers must use the results of the last run of do.
func (d *demo) undisturbed(ctx context.Context, side rig.Mode, do func() int) error {
	for try := 1; ; try++ {
		before, err := d.walletd.Shim(ctx)
		if err != nil {
			return err
		}
		asked := uint64(do())
		after, err := d.walletd.Shim(ctx)
		if err != nil {
			return err
		}
		kept := after.Served[side] - before.Served[side]
		if share(kept, asked) < leastShare && try < tries && ctx.Err() == nil {
			d.results.disturbed++
			pause(ctx, settle)
			continue
		}
		d.results.meant[side] += asked
		d.results.kept[side] += kept
		return nil
	}
}

// settle is a pause after a disturbed stretch, in which the shim tries the sidecar again.
const settle = 300 * time.Millisecond

// compare asks side to what side from answered, and compares the answers. Side to must be the one that is on.
func (d *demo) compare(ctx context.Context, samples [methods][]ask.Sample, from, to rig.Mode) (tally, error) {
	d.say.Passing("asking %s what %s answered", to, from)
	before, err := d.walletd.Shim(ctx)
	if err != nil {
		return tally{}, err
	}
	stop, cancel := context.WithTimeout(ctx, d.plan.compare)
	defer cancel()
	t := d.traffic.compare(stop, samples, &d.found, string(from), string(to))
	after, err := d.walletd.Shim(ctx)
	if err != nil {
		return t, err
	}
	d.results.tally.merge(t)
	d.results.meant[to] += uint64(t.compared())
	d.results.kept[to] += after.Served[to] - before.Served[to]
	d.results.sameSide += int(after.Served[from] - before.Served[from])
	return t, nil
}

// pids returns the ids of all processes, walletd's first.
func (d *demo) pids() []int { return append([]int{d.walletd.Pid()}, d.walletd.SidecarPids()...) }

func other(side rig.Mode) rig.Mode {
	if side == rig.Legacy {
		return rig.SidecarMode
	}
	return rig.Legacy
}

func pause(ctx context.Context, span time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(span):
	}
}
