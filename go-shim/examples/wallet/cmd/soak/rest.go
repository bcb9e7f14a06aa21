package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
)

// These are tolerated in addition to those at the first rest, for the connection of a scrape and one that is just
// ending. There are more faults of either kind, so that a leak of one per fault shows.
const (
	toleratedGoroutines = 4
	toleratedFiles      = 4
)

// notAtRest returns what is not at rest. base is the quiet sample after warm-up; without it fewer things are checked.
// Both the wait for rest and the final check use this function.
func (s *sample) notAtRest(base *sample) []string {
	var found []string
	add := func(bad bool, format string, a ...any) {
		if bad {
			found = append(found, fmt.Sprintf(format, a...))
		}
	}
	add(s.hotpathd.pid == 0, "there is no sidecar to read")
	add(!s.shim.CaughtUp(), "the sidecar is not ready at the head: position %d of %d", s.shim.Position, s.shim.Head)
	add(s.breakerOpen, "the breaker is open")
	add(s.walletd.inFlight != 0, "hotpath_shim_lane_in_flight is %d: slots are taken", s.walletd.inFlight)
	add(s.hotpathd.inFlight != 0, "hotpathd_in_flight is %d", s.hotpathd.inFlight)
	add(s.buffered != 0, "hotpathd_buffered_bytes is %d", s.buffered)
	add(s.retired != 0, "hotpathd_retired_waiting is %d: somebody still reads a replaced version", s.retired)
	add(s.versions > 1, "hotpathd_retained_versions is %d: history is kept too long", s.versions)
	add(s.shim.Below.Unread != 0, "hotpath_shim_spliced_unread_bytes is %d", s.shim.Below.Unread)
	add(s.walletd.lanes == 0, "no lane is open")
	add(s.walletd.lanes != s.hotpathd.lanes, "the shim has %d lanes, the sidecar %d", s.walletd.lanes, s.hotpathd.lanes)
	if base == nil {
		return found
	}
	add(s.walletd.lanes != base.walletd.lanes, "%d lanes are open, not %d", s.walletd.lanes, base.walletd.lanes)
	more := func(what string, now, then, tolerated int) {
		add(now > then+tolerated, "%s: %d, after warm-up %d (%d more are tolerated)", what, now, then, tolerated)
	}
	more("connections of the spliced front door", int(s.shim.Below.Connections), int(base.shim.Below.Connections), 0)
	more("goroutines of walletd", s.walletd.goroutines, base.walletd.goroutines, toleratedGoroutines)
	more("open files of walletd", s.walletd.files, base.walletd.files, toleratedFiles)
	more("open files of hotpathd", s.hotpathd.files, base.hotpathd.files, toleratedFiles)
	return found
}

const (
	lookEvery = 100 * time.Millisecond
	// steadyLooks is how many equal samples in a row make the first rest, with which later ones are compared.
	steadyLooks = 10
	// steadyWithin bounds the wait for these samples.
	steadyWithin = 30 * time.Second
)

// rest waits until everything is at rest, makes walletd collect its garbage, and keeps a quiet sample. If the wait
// takes too long, it keeps the sample as it is, and the check fails.
func (s *soak) rest(ctx context.Context, stretch int) error {
	if s.base == nil {
		s.awaitSteady(ctx)
	}
	deadline := time.Now().Add(waitLimit)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, err := s.collected(ctx)
		if err == nil && len(now.notAtRest(s.base)) == 0 || time.Now().After(deadline) {
			now.quiet, now.stretch, now.seconds = true, stretch, time.Since(s.start).Seconds()
			s.keep(now)
			if s.base == nil {
				s.base = &now
			}
			return nil
		}
		pause(ctx, lookEvery)
	}
}

// awaitSteady waits until the numbers of goroutines and files stay the same for a while, because connections from the
// start may still be ending.
func (s *soak) awaitSteady(ctx context.Context) {
	deadline := time.Now().Add(steadyWithin)
	var seen []sample
	for time.Now().Before(deadline) && ctx.Err() == nil {
		now, err := read(ctx, s.walletd)
		if err == nil && len(now.notAtRest(nil)) == 0 {
			seen = append(seen, now)
			last := seen[max(0, len(seen)-steadyLooks):]
			if len(last) == steadyLooks && !slices.ContainsFunc(last, func(one sample) bool { return !one.like(now) }) {
				return
			}
		} else {
			seen = nil
		}
		pause(ctx, lookEvery)
	}
}

// like returns whether two samples have the same numbers of goroutines and files. They may differ by one, because the
// connection of a scrape may or may not have ended.
func (s *sample) like(other sample) bool {
	near := func(a, b int) bool { return max(a-b, b-a) <= 1 }
	return near(s.walletd.goroutines, other.walletd.goroutines) && near(s.walletd.files, other.walletd.files) &&
		near(s.hotpathd.files, other.hotpathd.files) && s.hotpathd.pid == other.hotpathd.pid
}

// collected reads both processes after two garbage collections. The second one empties pools.
func (s *soak) collected(ctx context.Context) (sample, error) {
	now, err := read(ctx, s.walletd)
	if err != nil || len(now.notAtRest(s.base)) > 0 {
		return now, err
	}
	for range 2 {
		if _, err := probe.Get(ctx, s.walletd.Admin, "/debug/pprof/heap?gc=1"); err != nil {
			return now, err
		}
	}
	return read(ctx, s.walletd)
}

func pause(ctx context.Context, span time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(span):
	}
}
