package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

func TestQuantilesAreThoseOfANaiveCount(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		var all times
		for range 1 + random.IntN(300) {
			all = append(all, time.Duration(1+random.IntN(50))*time.Microsecond)
		}
		got := slices.Clone(all).latency()
		for share, at := range map[float64]float64{0.5: got.P50, 0.99: got.P99, 0.999: got.P999} {
			// The nearest rank is the least value that enough values do not exceed.
			atMost, below := 0, 0
			for _, one := range all {
				if us := float64(one) / 1e3; us <= at {
					atMost++
					if us < at {
						below++
					}
				}
			}
			if n := share * float64(len(all)); float64(atMost) < n-1e-9 || float64(below) >= n {
				t.Fatalf("%v of %d: %v, %d are at most that, %d below", share, len(all), at, atMost, below)
			}
		}
		if got.Count != len(all) || got.Min != float64(slices.Min(all))/1e3 || got.Max != float64(slices.Max(all))/1e3 {
			t.Fatalf("%+v", got)
		}
	}
	if got := (times{}).latency(); got != (latency{}) {
		t.Errorf("%+v of nothing", got)
	}
}

func TestTheSlopeOfALineIsFound(t *testing.T) {
	var line []sample
	for n := range 9 {
		line = append(line, sample{Entries: 1_000 * n, Resident: int64(5_000_000 + 40_000*n)})
	}
	for n := 4; n < 9; n++ {
		// From the middle on it is steeper by half.
		line[n].Resident += int64(20_000 * (n - 4))
	}
	before, after := rested{Memory: proc.Memory{Resident: 1_000}}, rested{Memory: proc.Memory{Resident: 401_000}}
	got := churnOf(line, 8_000, before, after)
	if math.Abs(got.FirstHalf-40) > 1e-6 || math.Abs(got.SecondHalf-60) > 1e-6 || got.PerEntry != 50 {
		t.Errorf("%+v", got)
	}
	if got := slope([]sample{{Resident: 1}, {Resident: 2}}); got != 0 {
		t.Errorf("%v without entries", got)
	}
}

func page(t *testing.T, text string) probe.Page {
	t.Helper()
	p, err := probe.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const histogram = `# TYPE hotpathd_publication_seconds histogram
hotpathd_publication_seconds_sum 1
hotpathd_publication_seconds_count COUNT
hotpathd_publication_seconds_bucket{le="0.001"} A
hotpathd_publication_seconds_bucket{le="0.002"} B
hotpathd_publication_seconds_bucket{le="+Inf"} COUNT
`

func TestPublicationsAreThoseOfThePhase(t *testing.T) {
	text := func(a, b, all string) probe.Page {
		return page(t, strings.NewReplacer("A", a, "B", b, "COUNT", all).Replace(histogram))
	}
	for _, c := range []struct {
		before, after probe.Page
		observed      uint64
		words         string
	}{
		{text("1000", "1000", "1000"), text("1098", "1099", "1100"), 100, "at most 2 ms"},
		{text("1000", "1000", "1000"), text("1099", "1099", "1100"), 100, "at most 1 ms"},
		{text("0", "0", "0"), text("90", "98", "100"), 100, "more than 2 ms"},
		{text("5", "6", "7"), text("5", "6", "7"), 0, "nothing was observed"},
		{probe.Page{}, text("99", "100", "100"), 100, "at most 1 ms"},
		{page(t, "up 1\n"), page(t, "up 1\n"), 0, "not offered by this hotpathd"},
	} {
		got := publicationsOf(c.before, c.after)
		if row := got.row(live, "a goal"); got.Observed != c.observed || row.measured != c.words || row.goal != "a goal" {
			t.Errorf("%+v: %q, want %q", got, row.measured, c.words)
		}
	}
}

func TestThreadsAreTellApartByName(t *testing.T) {
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	c := cpu{Hotpathd: 40, Tool: 7}
	c.threads(10, []proc.Thread{
		{ID: 10, Name: "writer", CPU: second(1)}, {ID: 11, Name: "writer", CPU: second(2)}, {ID: 12, Name: "chores", CPU: second(4)},
		{ID: 13, Name: "core-0", CPU: second(8)}, {ID: 14, Name: "core-11", CPU: second(16)}, {ID: 15, Name: "lifeline", CPU: second(3)},
	})
	want := cpu{Decoding: 1, Writer: 2, Chores: 4, Serving: 24, Other: 9, Hotpathd: 40, Tool: 7}
	if c != want || c.since(want) != (cpu{}) || c.since(cpu{}) != want {
		t.Errorf("%+v", c)
	}
}

func TestCommitsFallDueAtTheRate(t *testing.T) {
	for _, c := range []struct {
		elapsed time.Duration
		rate    int
		want    uint64
	}{{0, 5_000, 0}, {time.Millisecond, 5_000, 5}, {time.Millisecond - 1, 5_000, 4}, {time.Hour, 100_000, 360_000_000}} {
		if got := dueAfter(c.elapsed, c.rate); got != c.want {
			t.Errorf("%v at %d: %d, not %d", c.elapsed, c.rate, got, c.want)
		}
	}
}

func TestTheTableHasUnitsAndGoals(t *testing.T) {
	r := report{
		Goals: theGoals,
		Fill:  &fillFigures{part: part{Entries: 4_140_000}, rates: ratesOf(4_140_000, 8, cpu{Writer: 5}), BytesPerEntry: 51.24, Full: rested{Settled: false}},
		Busy:  &busyFigures{Readers: 4, rates: ratesOf(1_000_000, 2, cpu{Writer: 1.25, Decoding: 0.5, Hotpathd: 4})},
		Live:  &liveFigures{Rate: 5_000, Visible: latency{Count: 7, P50: 712.3, P99: 1999.6}, Samples: make([]sample, 25)},
	}
	r.Churn = &churnFigures{PerEntry: 33}
	r.Offload = &offloadFigures{Growth: -3_000_000, Rounds: []round{{Allocated: 41_260_000}, {Allocated: 7_000_000}}}
	text := strings.Join(r.table(), "\n")
	for _, want := range []string{
		"517,500", tooShort, "800,000", "at least 500,000 (hoped for: 1,000,000)", "51.2", "at most 48 (hoped for: 32)", "712 µs; 2 ms",
		"p99 at most 2 ms", "not offered by this hotpathd", "answers a second to 4 readers", ", still changing", "33.0", "(7 commits)", "41.3 7.0", "-3 MB", "at most 2 MB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	// 25 samples, every other one, eight to a line.
	if n := strings.Count(text, "0.0 0.0"); n < 2 || strings.Count(text, " 0.0")+strings.Count(text, "0.0 ") < 13 {
		t.Errorf("too few samples:\n%s", text)
	}
}
