package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/machine"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// summary is what a soak found behind one front door.
type summary struct {
	Door   rig.Door `json:"front_door"`
	Passed bool     `json:"passed"`
	// Brief says that memory was not checked.
	Brief       bool              `json:"brief"`
	Checks      []check           `json:"checks"`
	Seconds     float64           `json:"seconds"`
	Stretches   int               `json:"stretches"`
	Kills       int               `json:"sidecar_kills"`
	Stops       int               `json:"sidecar_stops"`
	Restarts    uint64            `json:"sidecar_restarts"`
	Requests    int               `json:"requests"`
	Manners     map[string]asked  `json:"requests_by_manner"`
	LongReplies int               `json:"replies_above_64_kib"`
	Compared    int               `json:"answers_compared"`
	Different   int               `json:"answers_different"`
	Sidecar     uint64            `json:"served_by_sidecar"`
	Go          uint64            `json:"served_by_go"`
	Fallbacks   map[string]uint64 `json:"fallbacks"`
	LostLanes   map[string]uint64 `json:"lane_failures"`
	// BelowGRPC counts the hot requests that the spliced front door answered. HandedOver counts those that it left to
	// grpc-go, by reason.
	BelowGRPC  uint64            `json:"answered_below_grpc_go"`
	HandedOver map[string]uint64 `json:"handed_over_to_grpc_go"`
	Posted     int64             `json:"transactions_posted"`
	// EntriesFirst and EntriesLast count the ledger's entries at the first and the last rest.
	EntriesFirst uint64          `json:"entries_first"`
	EntriesLast  uint64          `json:"entries_last"`
	Goroutines   [2]int          `json:"walletd_goroutines_first_last"`
	FilesWalletd [2]int          `json:"walletd_open_fds_first_last"`
	FilesSidecar [2]int          `json:"hotpathd_open_fds_first_last"`
	Memory       []trend         `json:"memory"`
	Seed         uint64          `json:"seed"`
	Callers      int             `json:"callers"`
	PostRate     int             `json:"posts_per_second"`
	Machine      machine.Machine `json:"machine"`
}

// asked counts requests of one manner. Gone counts those whose caller went away or whose deadline passed.
type asked struct {
	Asked int `json:"asked"`
	Gone  int `json:"gone"`
}

// finish makes the checks and writes the samples.
func (s *soak) finish() (*summary, error) {
	sum := s.summary()
	file, err := os.Create(s.config.Path("samples.csv"))
	if err != nil {
		return nil, fmt.Errorf("samples: %w", err)
	}
	defer file.Close()
	if err := writeSamples(file, s.samples); err != nil {
		return nil, err
	}
	return sum, s.found.Problem
}

func (s *soak) quiet() []sample { return atQuiet(s.samples) }

func atQuiet(all []sample) []sample {
	var quiet []sample
	for _, one := range all {
		if one.quiet {
			quiet = append(quiet, one)
		}
	}
	return quiet
}

func (s *soak) summary() *summary {
	quiet, total := s.quiet(), s.traffic.total()
	first, last := quiet[0], quiet[len(quiet)-1]
	sum := &summary{
		Door: s.door, BelowGRPC: last.shim.Below.Answered, HandedOver: last.shim.Below.HandedOver,
		Brief: s.config.brief, Seconds: float64(time.Since(s.start).Milliseconds()) / 1000,
		Stretches: s.counted.stretches, Kills: s.counted.kills, Stops: s.counted.stops, Restarts: last.shim.Restarts,
		Requests: total.all(), Manners: make(map[string]asked), LongReplies: total.long,
		Sidecar: last.shim.Served[rig.SidecarMode], Go: last.shim.Served[rig.Legacy], Fallbacks: last.shim.Reasons,
		LostLanes: last.laneFailures, Posted: s.traffic.poster.Posted.Load(),
		EntriesFirst: first.entries, EntriesLast: last.entries,
		Goroutines:   [2]int{first.walletd.goroutines, last.walletd.goroutines},
		FilesWalletd: [2]int{first.walletd.files, last.walletd.files},
		FilesSidecar: [2]int{first.hotpathd.files, last.hotpathd.files},
		Seed:         s.config.Seed, Callers: s.config.callers, PostRate: s.config.postRate,
		Machine: machine.This(s.config.Walletd, s.config.Hotpathd),
	}
	for m := range manners {
		sum.Manners[mannerNames[m]] = asked{total.asked[m], total.gone[m]}
	}
	for m := range methods {
		sum.Compared += s.counted.equal[m] + s.counted.different[m]
		sum.Different += s.counted.different[m]
	}
	t := &s.traffic
	sum.Checks = append(answers(total, t.wrong.Count(), t.wrong.Messages()), compared(s.counted),
		posts(sum.Posted, t.poster.Failed.Count(), t.poster.Failed.Messages()), faulted(s.counted, s.plan),
		atRest(quiet), explained(quiet), survived(quiet, s.plan), served(quiet), below(quiet, s.door), calm(quiet))
	if s.plan.trend {
		sum.Memory = trends(s.samples, s.plan.lastKill())
		for _, one := range sum.Memory {
			sum.Checks = append(sum.Checks, one.check())
		}
	}
	sum.Passed = true
	for _, c := range sum.Checks {
		sum.Passed = sum.Passed && c.Passed
	}
	return sum
}

func (sum *summary) text() string {
	var b strings.Builder
	for _, c := range sum.Checks {
		mark := "ok    "
		if !c.Passed {
			mark = "FAILED"
		}
		fmt.Fprintf(&b, "%s  %-55s %s\n", mark, c.Name, c.Measured)
		if !c.Passed || strings.HasPrefix(c.Name, "memory") {
			fmt.Fprintf(&b, "        allowed: %s\n", c.Allowed)
		}
	}
	if sum.Brief {
		b.WriteString("--      memory                                                  not judged: a trend needs minutes (`make soak`)\n")
	}
	fmt.Fprintf(&b, "\n%.0f s, %s requests, %s answered by the sidecar, %s by Go; %d kills, %d stops; %s entries at the first rest, %s at the last\n",
		sum.Seconds, console.Count(sum.Requests), console.Count(sum.Sidecar), console.Count(sum.Go), sum.Kills, sum.Stops,
		console.Count(sum.EntriesFirst), console.Count(sum.EntriesLast))
	fmt.Fprintf(&b, "below grpc-go: %s answered; handed over to grpc-go: %s\n", console.Count(sum.BelowGRPC), byReason(sum.HandedOver))
	fmt.Fprintf(&b, "walletd: %d, then %d goroutines; %d, then %d open files; hotpathd: %d, then %d open files\n",
		sum.Goroutines[0], sum.Goroutines[1], sum.FilesWalletd[0], sum.FilesWalletd[1], sum.FilesSidecar[0], sum.FilesSidecar[1])
	return b.String()
}

// byReason lists counts by reason, or says that there are none.
func byReason(counts map[string]uint64) string {
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s %s", console.Count(counts[reason]), reason))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// progress prints a line after each rest.
func (s *soak) progress(n int, what fault) {
	quiet := s.quiet()
	last := quiet[len(quiet)-1]
	s.say.Step("%-7s stretch %2d, fault %-4s: %9s requests so far, sidecar %s, Go %s; walletd %.1f MB (heap %.1f), hotpathd %.1f MB; "+
		"%d goroutines, %d and %d files; %d wrong", s.door, n, what, console.Count(s.traffic.total().all()),
		console.Count(last.shim.Served[rig.SidecarMode]), console.Count(last.shim.Served[rig.Legacy]), mega(last.walletd.rss),
		mega(last.walletd.heap), mega(last.hotpathd.rss), last.walletd.goroutines, last.walletd.files, last.hotpathd.files,
		s.traffic.wrong.Count())
	for _, what := range last.notAtRest(s.base) {
		s.say.Line("           %s, not at rest: %s", s.door, what)
	}
}
