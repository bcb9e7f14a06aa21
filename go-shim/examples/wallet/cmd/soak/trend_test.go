package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// series returns the points of a size that starts at base, grows by perStep at each of n rests, and is noisy.
func series(n int, base, perStep, noise float64, entriesPerStep uint64) []point {
	random := rand.New(rand.NewPCG(1, 1))
	var all []point
	for i := range n {
		all = append(all, point{
			requests: uint64(30_000 * i), bytes: int64(base + float64(i)*perStep + noise*(random.Float64()-0.5)),
			entries: 80_000 + uint64(i)*entriesPerStep,
		})
	}
	return all
}

// plus adds bytes to the points from index from on.
func plus(bytes int64, points []point, from int) []point {
	for i := from; i < len(points); i++ {
		points[i].bytes += bytes
	}
	return points
}

func TestATrendTellsALeakFromNoise(t *testing.T) {
	for name, c := range map[string]struct {
		points   []point
		perEntry float64
		passes   bool
	}{
		"flat":                       {series(12, 60e6, 0, 0, 0), 0, true},
		"noisy":                      {series(12, 60e6, 0, 60e6, 0), 0, true},
		"shrinks":                    {series(12, 60e6, -2e6, 0, 0), 0, true},
		"grows with the ledger":      {series(12, 60e6, 1e6, 1e6, 2000), 500, true},
		"leaks":                      {series(12, 60e6, 1.5e6, 1e6, 0), 500, false},
		"takes twice as much":        {series(100, 60e6, 2e6, 1e6, 2000), 500, true},
		"leaks beside the ledger":    {series(12, 60e6, 3.5e6, 1e6, 2000), 500, false},
		"leaks in a long run":        {series(100, 60e6, 2.5e6, 1e6, 2000), 500, false},
		"too few to tell":            {series(leastTrend-1, 60e6, 0, 0, 0), 0, false},
		"one outlier at the end":     {plus(100e6, series(12, 60e6, 0, 0, 0), 11), 0, true},
		"one step":                   {plus(30e6, series(8, 60e6, 0, 4e6, 0), 4), 0, true},
		"one step in a long run":     {plus(30e6, series(40, 60e6, 0, 4e6, 0), 20), 0, true},
		"comes to its size late":     {plus(20e6, plus(20e6, series(8, 60e6, 0, 4e6, 0), 1), 2), 0, true},
		"a large process moves more": {series(12, 600e6, 8e6, 0, 0), 0, true},
		"nothing":                    {nil, 0, false},
	} {
		got := trendOf(name, c.points, c.perEntry, residentBound).check()
		if got.Passed != c.passes {
			t.Errorf("%s: passed %v: %+v", name, got.Passed, got)
		}
	}
}

// TestScatterAloneHardlyEverFails checks the confidence of 99 %: a process that does not grow rarely fails, however
// large the scatter is.
func TestScatterAloneHardlyEverFails(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	const runs = 2000
	for _, n := range []int{leastTrend, 13, 40} {
		for _, scatter := range []float64{1e6, 10e6, 100e6} {
			failed := 0
			for range runs {
				points := series(n, 200e6, 0, 0, 0)
				for i := range points {
					points[i].bytes += int64(scatter * random.NormFloat64())
				}
				if !trendOf("", points, 0, bound{}).check().Passed {
					failed++
				}
			}
			if failed > runs*15/1000 {
				t.Errorf("%d points, scatter %.0f: %d of %d failed even with no bound", n, scatter, failed, runs)
			}
		}
	}
}

// TestASlowLeakIsFoundInRealSizes uses sizes of the sidecar from three runs of five minutes, and of walletd's heap. In
// one run (late) the sidecar reached its size late, in another (last) only at the end.
func TestASlowLeakIsFoundInRealSizes(t *testing.T) {
	requests := []uint64{109_912, 146_254, 168_332, 208_630, 229_870, 273_037, 298_526, 339_105}
	resident := []int64{105.5e6, 111.2e6, 111.8e6, 121.0e6, 113.6e6, 106.1e6, 107.7e6, 109.1e6}
	late := []int64{112.2e6, 117.2e6, 134.2e6, 136.7e6, 141.8e6, 131.4e6, 137.0e6, 130.1e6}
	last := []int64{99e6, 92e6, 100e6, 103e6, 104e6, 116e6, 140e6, 143e6}
	heap := []int64{12.61e6, 12.67e6, 12.73e6, 12.76e6, 12.85e6, 12.87e6, 12.93e6, 13.00e6}
	for name, c := range map[string]struct {
		sizes      []int64
		may        bound
		perRequest uint64
		passes     bool
	}{
		"resident":       {resident, sidecarBound, 0, true},
		"resident leaks": {resident, sidecarBound, 384, false},
		"late":           {late, sidecarBound, 0, true},
		"late leaks":     {late, sidecarBound, 384, false},
		"last":           {last, sidecarBound, 0, true},
		"last leaks":     {last, sidecarBound, 384, false},
		"heap":           {heap, heapBound, 0, true},
		"heap leaks":     {heap, heapBound, 5, false},
	} {
		var points []point
		for i, size := range c.sizes {
			points = append(points, point{requests: requests[i], bytes: size + int64(requests[i]*c.perRequest)})
		}
		if got := trendOf(name, points, 0, c.may); got.check().Passed != c.passes {
			t.Errorf("%s: passed %v: %+v", name, !c.passes, got)
		}
	}
}

// TestWavesAreNoTrend checks that a size that rises and falls over several rests, as an allocator's caches do, is not
// taken for a trend, however long the run is.
func TestWavesAreNoTrend(t *testing.T) {
	const runs, height, lasting = 1000, 9e6, 0.7
	random := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{leastTrend, 13, 40, 200} {
		failed := 0
		for range runs {
			points, wave := series(n, 110e6, 0, 0, 0), height*random.NormFloat64()
			for i := range points {
				wave = lasting*wave + math.Sqrt(1-lasting*lasting)*height*random.NormFloat64()
				points[i].bytes += int64(wave)
			}
			if !trendOf("", points, 0, residentBound).check().Passed {
				failed++
			}
		}
		if failed > runs/200 {
			t.Errorf("%d rests: %d of %d failed", n, failed, runs)
		}
	}
	if trendOf("", series(200, 110e6, 0.2e6, height, 0), 0, residentBound).check().Passed {
		t.Error("an hour shows a leak of 7 B a request")
	}
}

func TestTrendsLookAtTheRightSamples(t *testing.T) {
	const lastKill = 5
	leak := func(spoil func(i int, s *sample)) string {
		quiet := stills(16)
		for i := range quiet {
			spoil(i, &quiet[i])
		}
		// A larger size under load does not count.
		loaded := still(15)
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
			// Sizes during warm-up and sizes of a killed process do not count.
			if i < warmUp {
				s.walletd.rss, s.walletd.heap = 10e6, 1e6
			}
			if i <= lastKill {
				s.hotpathd.pid, s.hotpathd.rss = 7, 5e6
			}
		},
		"walletd's heap after a collection":              func(i int, s *sample) { s.walletd.heap += int64(i) * 1e6 },
		"walletd's resident set":                         func(i int, s *sample) { s.walletd.rss += int64(i) * 3e6 },
		"hotpathd's resident set, least of each stretch": func(i int, s *sample) { s.hotpathd.rss += int64(i) * 8e6 },
	} {
		if got := leak(spoil); got != want {
			t.Errorf("%q: failed %q", want, got)
		}
	}
}
