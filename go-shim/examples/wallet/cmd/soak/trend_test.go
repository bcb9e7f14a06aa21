package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// series is a size that starts at base, grows by perStep at each of n rests, and is noisy.
func series(n int, base, perStep, noise float64, entriesPerStep uint64) []point {
	random := rand.New(rand.NewPCG(1, 1))
	var all []point
	for i := range n {
		all = append(all, point{
			seconds: float64(20 * i), bytes: int64(base + float64(i)*perStep + noise*(random.Float64()-0.5)),
			entries: 80_000 + uint64(i)*entriesPerStep,
		})
	}
	return all
}

func TestATrendTellsALeakFromNoise(t *testing.T) {
	for name, c := range map[string]struct {
		points   []point
		perEntry float64
		passes   bool
	}{
		"flat":                       {series(12, 60e6, 0, 0, 0), 0, true},
		"noisy":                      {series(12, 60e6, 0, 8e6, 0), 0, true},
		"shrinks":                    {series(12, 60e6, -2e6, 0, 0), 0, true},
		"grows with the ledger":      {series(12, 60e6, 1e6, 1e6, 2000), 500, true},
		"leaks":                      {series(12, 60e6, 1e6, 1e6, 0), 500, false},
		"leaks beside the ledger":    {series(12, 60e6, 2e6, 1e6, 2000), 500, false},
		"too few to tell":            {series(leastTrend-1, 60e6, 0, 0, 0), 0, false},
		"one outlier at the end":     {append(series(11, 60e6, 0, 0, 0), point{220, 160e6, 80_000}), 0, true},
		"a large process moves more": {series(12, 600e6, 4e6, 0, 0), 0, true},
		"nothing":                    {nil, 0, false},
	} {
		got := trendOf(name, c.points, c.perEntry, 0).check()
		if got.Passed != c.passes {
			t.Errorf("%s: passed %v: %+v", name, got.Passed, got)
		}
	}
}

func TestTrendsLookAtTheRightSamples(t *testing.T) {
	const lastKill = 5
	leak := func(spoil func(i int, s *sample)) string {
		quiet := stills(14)
		for i := range quiet {
			spoil(i, &quiet[i])
		}
		// Under load it takes more, which counts for nothing.
		loaded := still(13)
		loaded.quiet, loaded.hotpathd.rss = false, 900e6
		quiet = append(quiet, loaded)
		var failed []string
		for _, one := range trends(quiet, lastKill) {
			if !one.check().Passed {
				failed = append(failed, one.Name)
			}
		}
		return strings.Join(failed, ", ")
	}
	for want, spoil := range map[string]func(i int, s *sample){
		"": func(i int, s *sample) {
			// What warms up, and what a killed process had, counts for nothing.
			if i < warmUp {
				s.walletd.rss, s.walletd.heap = 10e6, 1e6
			}
			if i <= lastKill {
				s.hotpathd.pid, s.hotpathd.rss = 7, 5e6
			}
		},
		"walletd's heap after a collection":              func(i int, s *sample) { s.walletd.heap += int64(i) * 1e6 },
		"walletd's resident set":                         func(i int, s *sample) { s.walletd.rss += int64(i) * 3e6 },
		"hotpathd's resident set, least of each stretch": func(i int, s *sample) { s.hotpathd.rss += int64(i) * 6e6 },
	} {
		if got := leak(spoil); got != want {
			t.Errorf("%q: failed %q", want, got)
		}
	}
}
