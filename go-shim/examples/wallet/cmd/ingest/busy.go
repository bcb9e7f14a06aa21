package main

import (
	"context"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// busyStep is how many transactions are committed at once when the feed has taken all before. A service whose feed keeps
// up commits few at once; hotpathd publishes rarely if it is more than 10,000 behind.
const busyStep = 1_000

// busyFigures say how entries were taken in while readers asked without a pause.
type busyFigures struct {
	part
	Seconds float64 `json:"seconds"`
	CPU     cpu     `json:"cpu_seconds"`
	rates
	merges
	Readers          int         `json:"readers"`
	AnswersPerSecond float64     `json:"answers_per_second"`
	Balances         latency     `json:"balances"`
	Statistics       latency     `json:"statistics_of_the_longest_account"`
	Publication      publication `json:"publication"`
}

// busy has entries committed as fast as they are taken, while readers ask.
func (r *run) busy(ctx context.Context) error {
	if !r.config.runs(busy) {
		return nil
	}
	f := &busyFigures{Readers: r.config.readers}
	f.part = r.more(func() { r.maker.fill(r.source, r.config.busyEntries) })
	before, first, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	r.say.Step("busy: %s entries are offered as they are taken, %d readers ask", console.Count(f.Entries), f.Readers)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	asking, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan reads)
	go func() { answers <- r.readers.run(ctx, asking.Done(), 0, fail) }()
	f.Seconds, f.CPU, err = r.timed(func() error {
		r.source.lend(r.source.made(), busyStep)
		return r.sidecar.published(ctx, r.source.made())
	})
	stop()
	all := <-answers
	if err != nil {
		return err
	}
	after, last, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	f.Balances, f.Statistics = all.balances.latency(), all.statistics.latency()
	f.AnswersPerSecond = per(f.Balances.Count+f.Statistics.Count, f.Seconds)
	f.merges, f.Publication = after.merges.since(before.merges), publicationsOf(first, last)
	f.rates = ratesOf(f.Entries, f.Seconds, f.CPU)
	r.report.Busy = f
	return context.Cause(ctx)
}
