package main

import (
	"context"
	"math"
	"slices"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// publicationMetric is the time from an event's arrival at hotpathd to its publication. Older hotpathds lack it.
const publicationMetric = "hotpathd_publication_seconds"

// bucket says how many observations took at most so long.
type bucket struct {
	AtMost float64 `json:"at_most_seconds"`
	Count  uint64  `json:"count"`
}

// publication is what a histogram of hotpathd observed in a phase.
type publication struct {
	// Offered is false if this hotpathd has no such histogram.
	Offered  bool     `json:"offered"`
	Observed uint64   `json:"observed,omitempty"`
	Buckets  []bucket `json:"buckets,omitempty"`
	// P99AtMost is the upper bound, in seconds, of the bucket that holds the 99th percentile. It is zero if nothing was
	// observed, or if the percentile is above all bounds.
	P99AtMost float64 `json:"p99_at_most_seconds,omitempty"`
}

// publicationsOf returns what was observed between two readings.
func publicationsOf(before, after probe.Page) publication {
	family, offered := after[publicationMetric]
	p := publication{Offered: offered}
	add := func(page probe.Page, sign uint64) {
		for _, metric := range page[publicationMetric].GetMetric() {
			p.Observed += sign * metric.GetHistogram().GetSampleCount()
			for _, one := range metric.GetHistogram().GetBucket() {
				p.add(one.GetUpperBound(), sign*one.GetCumulativeCount())
			}
		}
	}
	if family == nil {
		return p
	}
	add(after, 1)
	add(before, ^uint64(0)) // minus one
	slices.SortFunc(p.Buckets, func(a, b bucket) int {
		if a.AtMost < b.AtMost {
			return -1
		}
		return 1
	})
	// The nearest rank.
	rank := (p.Observed*99 + 99) / 100
	for _, one := range p.Buckets {
		if p.Observed > 0 && one.Count >= rank {
			p.P99AtMost = one.AtMost
			break
		}
	}
	return p
}

func (p *publication) add(bound float64, count uint64) {
	if math.IsInf(bound, 1) {
		return
	}
	for i := range p.Buckets {
		if p.Buckets[i].AtMost == bound {
			p.Buckets[i].Count += count
			return
		}
	}
	p.Buckets = append(p.Buckets, bucket{bound, count})
}

// sample is one reading of hotpathd while the ledger is live.
type sample struct {
	// Seconds is the time since the first commit of the phase. Entries are those of the whole ledger that are published.
	Seconds  float64 `json:"seconds"`
	Entries  int     `json:"entries"`
	Resident int64   `json:"resident_bytes"`
	// Versions can still be asked for, Events are kept with them, and Retired are replaced versions still being read.
	Versions uint64 `json:"retained_versions"`
	Events   uint64 `json:"retained_events"`
	Retired  uint64 `json:"retired_waiting"`
	merges
	// UnderWay are merges that are not finished.
	UnderWay uint64 `json:"chores_under_way"`
}

// merges are those of long histories, which hotpathd does on a thread beside the writer, and calls chores. A sample has
// all since hotpathd started.
type merges struct {
	Merges uint64 `json:"chores"`
	// Took is how long that thread was at work, in seconds.
	Took float64 `json:"chores_seconds"`
}

func (m merges) since(before merges) merges {
	return merges{Merges: m.Merges - before.Merges, Took: m.Took - before.Took}
}

// look reads a sample, but not its time.
func (s *sidecar) look(ctx context.Context) (sample, probe.Page, error) {
	page, err := probe.Scrape(ctx, s.Addresses.Admin)
	if err != nil {
		return sample{}, nil, s.Explain(err)
	}
	memory, err := proc.MemoryOf(s.Pid())
	if err != nil {
		return sample{}, nil, s.Explain(err)
	}
	value := func(name string) uint64 { return uint64(page.Value(name, nil)) }
	return sample{
		Entries: s.source.entriesUpTo(value("hotpathd_position")), Resident: memory.Resident,
		Versions: value("hotpathd_retained_versions"), Events: value("hotpathd_retained_events"),
		Retired: value("hotpathd_retired_waiting"), UnderWay: value("hotpathd_chores_under_way"),
		merges: merges{Merges: value("hotpathd_chores_total"), Took: page.Value("hotpathd_chores_seconds_total", nil)},
	}, page, nil
}
