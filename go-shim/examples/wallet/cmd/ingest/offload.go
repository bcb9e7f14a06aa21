package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

const (
	counterparties, series = 3, 4 // indexes of ask.Hot
	// askers ask at once. There are more than threads for expensive questions on most machines, so that some wait.
	askers = 16
	// seriesHours is the length of the series that are asked for: 225 kB, and too expensive for the thread of a connection.
	seriesHours = 9_000
	// offloadedMetric counts questions that were answered on a thread of their own.
	offloadedMetric = "hotpathd_requests_offloaded_total"
)

// offloadFigures say what memory expensive questions leave behind. hotpathd answers them on threads of their own, which end
// when there is nothing to do: what one thread has allocated, others free, or nobody if it gets lost.
type offloadFigures struct {
	// Questions were asked in each round, and Offloaded were answered on threads of their own, in all rounds.
	Questions int     `json:"questions_per_round"`
	Offloaded uint64  `json:"offloaded"`
	Series    latency `json:"series"`
	Totals    latency `json:"top_counterparties"`
	// Before is at rest before the first round, and Rounds are at rest after each, once the threads have ended.
	Before round   `json:"before"`
	Rounds []round `json:"rounds"`
	// Growth is the resident memory that was added from the second round, in bytes. The first makes what is kept for later.
	Growth int64 `json:"growth_since_second_round_bytes"`
}

// round is what hotpathd keeps at rest.
type round struct {
	rested
	// Allocated are the bytes that hotpathd's allocator has handed out.
	Allocated int64 `json:"allocated_bytes"`
	Threads   int   `json:"threads"`
}

// offload asks expensive questions in rounds.
func (r *run) offload(ctx context.Context) error {
	if !r.config.runs(offload) {
		return nil
	}
	conns, err := dial(r.sidecar.Listen, askers)
	if err != nil {
		return err
	}
	defer hangUp(conns)
	if err := greet(ctx, conns, r.long); err != nil {
		return err
	}
	f := &offloadFigures{Questions: r.config.questions}
	_, first, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	if f.Before, err = r.afterRound(ctx); err != nil {
		return err
	}
	var all [2]times
	for n := range r.config.rounds {
		r.say.Step("offload: round %d of %d, %s expensive questions, %d at once", n+1, r.config.rounds, console.Count(f.Questions), askers)
		took, err := r.askExpensive(ctx, conns)
		if err != nil {
			return err
		}
		all[0], all[1] = append(all[0], took[0]...), append(all[1], took[1]...)
		if err := pause(ctx, r.config.idle); err != nil {
			return err
		}
		after, err := r.afterRound(ctx)
		if err != nil {
			return err
		}
		f.Rounds = append(f.Rounds, after)
	}
	_, last, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	f.Offloaded = uint64(last.Value(offloadedMetric, nil) - first.Value(offloadedMetric, nil))
	f.Series, f.Totals = all[0].latency(), all[1].latency()
	f.Growth = f.Rounds[len(f.Rounds)-1].Resident - f.Rounds[1].Resident
	r.report.Offload = f
	return nil
}

// afterRound waits until hotpathd rests.
func (r *run) afterRound(ctx context.Context) (round, error) {
	at, err := r.sidecar.rest(ctx, r.config)
	if err != nil {
		return round{}, err
	}
	_, page, err := r.sidecar.look(ctx)
	if err != nil {
		return round{}, err
	}
	return round{at, int64(page.Value("hotpathd_allocated_bytes", nil)), int(page.Value("process_threads", nil))}, nil
}

// askExpensive asks for series and for top counterparties of the longest account, in turns.
func (r *run) askExpensive(ctx context.Context, conns []*grpc.ClientConn) (took [2]times, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	questions := [2]ask.Question{
		ask.New(series, &walletv1.GetTimeSeriesRequest{
			AccountId: r.long, Asset: asset, FromUs: r.maker.toUS - seriesHours*time.Hour.Microseconds(), ToUs: r.maker.toUS,
			Step: walletv1.Step_STEP_HOUR,
		}),
		ask.New(counterparties, &walletv1.GetTopCounterpartiesRequest{
			AccountId: r.long, Asset: asset, FromUs: r.maker.fromUS, ToUs: r.maker.toUS, Limit: 100,
		}),
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for n, conn := range conns {
		group.Go(func() {
			for i := n; i < r.config.questions && ctx.Err() == nil; i += len(conns) {
				which := i / len(conns) % 2
				began := time.Now()
				if _, err := answered(ctx, conn, questions[which], nil); err != nil {
					fail(err)
					return
				}
				mu.Lock()
				took[which] = append(took[which], time.Since(began))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return took, context.Cause(ctx)
}

func (f *offloadFigures) rows(goals goals) []row {
	list := func(of func(round) string) string {
		var cells []string
		for _, one := range f.Rounds {
			cells = append(cells, of(one))
		}
		return strings.Join(cells, " ")
	}
	resident := list(func(one round) string { return fmt.Sprintf("%.1f", float64(one.Resident)/1e6) })
	allocated := list(func(one round) string { return fmt.Sprintf("%.1f", float64(one.Allocated)/1e6) })
	return []row{
		{offload, "expensive questions in each round; answered on threads of their own, in all", fmt.Sprintf("%s; %s", console.Count(f.Questions),
			console.Count(f.Offloaded)), ""},
		f.Series.row(offload, fmt.Sprintf("a series of %s hours", console.Count(seriesHours))),
		f.Totals.row(offload, "the top 100 counterparties"),
		{offload, "resident memory at rest before", f.Before.String(), ""},
		{offload, "the same after each round, in MB", resident, ""},
		{offload, "allocated then, in MB", allocated, ""},
		{offload, "threads then", list(func(one round) string { return fmt.Sprint(one.Threads) }), ""},
		{offload, "resident memory gained since the second round", console.Megabytes(f.Growth), "at most " + console.Megabytes(goals.Offload)},
	}
}
