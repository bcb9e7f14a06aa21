package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/position"
)

const (
	// tick is how often what is due is committed.
	tick = time.Millisecond
	// followers wait for commits, each on a connection of its own. So many are enough unless answers take long.
	followers = 8
	// waiting is how many commits may wait for a follower. Further ones are counted as missed.
	waiting = 1024
	// sampleEvery is how often memory is read, unless the phase is short.
	sampleEvery = 5 * time.Second
)

// liveFigures say what happened at a steady rate of commits.
type liveFigures struct {
	part
	Rate    int     `json:"transactions_per_second"`
	Seconds float64 `json:"seconds"`
	CPU     cpu     `json:"cpu_seconds"`
	merges
	pacing
	// Visible is the time from a commit until a reader has an answer at its position or a later one: an upper bound of the
	// time until it is visible. Again is the time of the same request once more, when there is nothing to wait for. Begun
	// is the part of Visible until the reader asked.
	Visible     latency     `json:"commit_to_visible"`
	Again       latency     `json:"same_request_without_waiting"`
	Begun       latency     `json:"commit_to_request"`
	Balances    latency     `json:"balances"`
	Statistics  latency     `json:"statistics_of_the_longest_account"`
	Publication publication `json:"publication"`
	Samples     []sample    `json:"samples"`

	seen []seen
}

// pacing says how steady the rate was.
type pacing struct {
	// LongestPause is the longest time between two ticks, in milliseconds, and LargestBatch the most commits at once.
	LongestPause float64 `json:"longest_pause_ms"`
	LargestBatch uint64  `json:"largest_batch"`
	// Missed are commits of the sample for which no follower was free.
	Missed int `json:"missed_samples"`
}

// commit is a position that is committed at an instant.
type commit struct {
	position uint64
	at       time.Time
}

// seen says when a reader saw a commit.
type seen struct {
	position              uint64
	at                    time.Time
	begun, visible, again time.Duration
}

// live commits at a steady rate, while readers ask.
func (r *run) live(ctx context.Context) error {
	if !r.config.runs(live) {
		return nil
	}
	f := &liveFigures{Rate: r.config.rate}
	from := r.source.made()
	f.part = r.more(func() {
		for range r.config.rate * r.config.seconds {
			r.maker.add(r.source)
		}
	})
	conns, err := dial(r.sidecar.Listen, followers)
	if err != nil {
		return err
	}
	defer hangUp(conns)
	if err := greet(ctx, conns, r.long); err != nil {
		return err
	}
	var start rested
	if r.config.runs(churn) {
		r.say.Step("churn: waiting until no old version is kept and memory stays the same")
		if start, err = r.sidecar.rest(ctx, r.config); err != nil {
			return err
		}
	}
	before, first, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	r.say.Step("live: %d transactions a second for %d s", f.Rate, r.config.seconds)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	began := time.Now()
	f.Seconds, f.CPU, err = r.timed(func() error { return r.whileLive(ctx, fail, from, began, conns, f) })
	if err != nil {
		return err
	}
	after, last, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	after.Seconds = time.Since(began).Seconds()
	f.Samples = slices.Concat([]sample{before}, f.Samples, []sample{after})
	f.merges, f.Publication = after.merges.since(before.merges), publicationsOf(first, last)
	f.sumUp()
	r.report.Live = f
	if !r.config.runs(churn) {
		return nil
	}
	r.say.Step("churn: waiting until no old version is kept and memory stays the same")
	end, err := r.sidecar.rest(ctx, r.config)
	if err != nil {
		return err
	}
	r.report.Churn = churnOf(f.Samples, f.Entries, start, end)
	r.report.Churn.OfAll = per(int(end.Resident-r.empty), float64(r.maker.made))
	return context.Cause(ctx)
}

// whileLive runs everything at once, and returns when the last commit is published.
func (r *run) whileLive(ctx context.Context, fail func(error), from uint64, began time.Time, conns []*grpc.ClientConn, f *liveFigures) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	commits := make(chan commit, waiting)
	var group, following sync.WaitGroup
	var all reads
	group.Go(func() {
		every := time.Duration(len(r.readers.conns)) * time.Second / time.Duration(r.config.readRate)
		all = r.readers.run(ctx, asking.Done(), every, fail)
	})
	group.Go(func() { f.Samples = r.watch(asking, began, fail) })
	each := make([][]seen, len(conns))
	for n, conn := range conns {
		following.Go(func() { each[n] = r.follow(ctx, conn, commits, fail) })
	}
	var err error
	f.pacing, err = r.pace(ctx, from, commits)
	close(commits)
	following.Wait()
	if err == nil {
		err = r.sidecar.published(ctx, r.source.made())
	}
	stop()
	group.Wait()
	f.seen = slices.Concat(each...)
	f.Balances, f.Statistics = all.balances.latency(), all.statistics.latency()
	return cmp.Or(context.Cause(ctx), err)
}

// pace commits all events after a position at the rate, whatever happens meanwhile, and hands some to commits.
func (r *run) pace(ctx context.Context, from uint64, commits chan<- commit) (pacing, error) {
	var p pacing
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began, every := time.Now(), uint64(r.config.every)
	last, end := began, r.source.made()
	for at := from; at < end; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return p, context.Cause(ctx)
		}
		now := time.Now()
		p.LongestPause, last = max(p.LongestPause, now.Sub(last).Seconds()*1e3), now
		due := min(from+dueAfter(now.Sub(began), r.config.rate), end)
		if due == at {
			continue
		}
		r.source.commit(due)
		for position := (at/every + 1) * every; position <= due; position += every {
			select {
			case commits <- commit{position, now}:
			default:
				p.Missed++
			}
		}
		p.LargestBatch, at = max(p.LargestBatch, due-at), due
	}
	return p, nil
}

// dueAfter is how many commits are due after a time.
func dueAfter(elapsed time.Duration, rate int) uint64 {
	return uint64(elapsed) * uint64(rate) / uint64(time.Second)
}

// follow asks for the long account's balance at each commit's position or later, and then again without waiting.
func (r *run) follow(ctx context.Context, conn *grpc.ClientConn, commits <-chan commit, fail func(error)) []seen {
	var all []seen
	request := &walletv1.GetBalanceRequest{AccountId: r.long}
	question := ask.New(balances, request)
	for one := range commits {
		md := metadata.Pairs(position.MinKey, strconv.FormatUint(one.position, 10))
		saw := seen{position: one.position, at: one.at, begun: time.Since(one.at)}
		answer, err := answered(ctx, conn, question, md)
		saw.visible = time.Since(one.at)
		if err == nil && (!answer.HasPosition || answer.Position < one.position) {
			err = fmt.Errorf("asked for position %d or later, got %v", one.position, answer)
		}
		if err == nil {
			began := time.Now()
			_, err = answered(ctx, conn, question, md)
			saw.again = time.Since(began)
		}
		if err != nil {
			// The sender never waits, so nobody misses this follower.
			fail(err)
			return all
		}
		all = append(all, saw)
	}
	return all
}

// watch takes samples until ctx ends.
func (r *run) watch(ctx context.Context, began time.Time, fail func(error)) []sample {
	var all []sample
	every := min(sampleEvery, time.Duration(r.config.seconds)*time.Second/4)
	for pause(ctx, every) == nil {
		now, _, err := r.sidecar.look(ctx)
		if err == nil {
			err = r.sidecar.sound()
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			fail(err)
			break
		}
		now.Seconds = time.Since(began).Seconds()
		all = append(all, now)
		r.say.Passing("live: %.0f s, %.0f MB, %d versions", now.Seconds, float64(now.Resident)/1e6, now.Versions)
	}
	return all
}

// sumUp sums up what the followers saw.
func (f *liveFigures) sumUp() {
	slices.SortFunc(f.seen, func(a, b seen) int { return cmp.Compare(a.position, b.position) })
	var visible, again, begun times
	for _, one := range f.seen {
		visible, again, begun = append(visible, one.visible), append(again, one.again), append(begun, one.begun)
	}
	f.Visible, f.Again, f.Begun = visible.latency(), again.latency(), begun.latency()
}
