package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/machine"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// report is the content of report.json.
type report struct {
	Passed bool `json:"passed"`
	// Problems lists the reasons why the run did not pass.
	Problems         []string `json:"problems"`
	AnswersCompared  int      `json:"answers_compared"`
	AnswersDifferent int      `json:"answers_different"`
	// RequestsFailed counts the questions that got no answer of the ledger, and the posts that failed.
	RequestsFailed int      `json:"requests_failed"`
	FirstFailures  []string `json:"first_failures"`
	SidecarKills   int      `json:"sidecar_kills"`
	// ServedBySidecar and ServedByLegacy are the shim's own counts over the whole run.
	ServedBySidecar uint64 `json:"served_by_sidecar"`
	ServedByLegacy  uint64 `json:"served_by_legacy"`
	// SidecarShare is the share of questions that the sidecar answered, of those asked while it should. It leaves out
	// stretches that were repeated, and the traffic around kills. LegacyShare is the same for Go.
	SidecarShare float64 `json:"sidecar_share"`
	LegacyShare  float64 `json:"legacy_share"`
	// StretchesRepeated counts stretches that were asked again, because the other side answered more than 1 % in them.
	StretchesRepeated int `json:"stretches_repeated"`
	// Fallbacks counts, by the shim's reason, requests that were meant for the sidecar and answered by Go. It includes
	// those during kills.
	Fallbacks map[string]uint64 `json:"fallbacks"`
	// ComparedWithItself counts comparisons that are not in AnswersCompared, because one side may have given both
	// answers.
	ComparedWithItself int         `json:"compared_with_itself"`
	RequestsAsked      int         `json:"requests_asked"`
	Posted             int64       `json:"transactions_posted"`
	PostRate           float64     `json:"transactions_posted_per_second"`
	Methods            []methodRow `json:"methods"`
	Kills              []kill      `json:"kills"`
	Ledger             ledgerFacts `json:"ledger"`
	// BaselineCores is how many cores both processes keep busy while transactions are posted and nothing is asked.
	BaselineCores  map[rig.Mode]float64 `json:"baseline_cores"`
	WalletdRSS     int64                `json:"walletd_rss_bytes"`
	SidecarRSS     int64                `json:"hotpathd_rss_bytes"`
	Seed           uint64               `json:"seed"`
	TrafficSeconds float64              `json:"traffic_seconds"`
	TotalSeconds   float64              `json:"total_seconds"`
	Machine        machine.Machine      `json:"machine"`
}

type ledgerFacts struct {
	Seed            uint64  `json:"seed"`
	Accounts        uint64  `json:"accounts"`
	Entries         uint64  `json:"entries"`
	Transactions    int     `json:"transactions"`
	Bytes           int64   `json:"bytes"`
	GenerateSeconds float64 `json:"generate_seconds"`
	// LoadSeconds is the time from the start of walletd until the sidecar served the whole ledger.
	LoadSeconds float64 `json:"load_seconds"`
}

// methodRow is one line of the table.
type methodRow struct {
	Method    string     `json:"method"`
	Asked     int        `json:"asked"`
	Equal     int        `json:"equal"`
	Different int        `json:"different"`
	Legacy    sideFigure `json:"legacy"`
	Sidecar   sideFigure `json:"sidecar"`
}

// sideFigure holds the costs of a method on one side: its latency in the mix, and the CPU time of both processes when
// this method alone is asked.
type sideFigure struct {
	Measured int     `json:"measured"`
	P50Us    float64 `json:"p50_us"`
	P99Us    float64 `json:"p99_us"`
	CPUUs    float64 `json:"cpu_us_per_request"`
}

// leastShare is the least share of a mode's questions that its side must answer. With less the run shows nothing.
const leastShare = 0.99

func (d *demo) report() *report {
	res := &d.results
	r := &report{
		AnswersCompared:    res.tally.compared() - res.sameSide,
		AnswersDifferent:   res.tally.unequal(),
		RequestsFailed:     d.traffic.failed.Count() + d.poster.Failed.Count(),
		FirstFailures:      append(d.traffic.failed.Messages(), d.poster.Failed.Messages()...),
		SidecarKills:       len(res.kills),
		ServedBySidecar:    res.served[rig.SidecarMode],
		ServedByLegacy:     res.served[rig.Legacy],
		SidecarShare:       share(res.kept[rig.SidecarMode], res.meant[rig.SidecarMode]),
		LegacyShare:        share(res.kept[rig.Legacy], res.meant[rig.Legacy]),
		StretchesRepeated:  res.disturbed,
		Fallbacks:          res.fallbacks,
		ComparedWithItself: res.sameSide,
		Posted:             d.poster.Posted.Load(),
		PostRate:           float64(d.poster.Posted.Load()) / max(res.trafficTook.Seconds(), 0.001),
		Kills:              res.kills,
		Ledger:             d.ledger,
		BaselineCores:      make(map[rig.Mode]float64),
		WalletdRSS:         res.rss[0],
		SidecarRSS:         res.rss[1],
		Seed:               d.config.Seed,
		TrafficSeconds:     seconds(res.trafficTook),
		TotalSeconds:       seconds(res.took),
		Machine:            machine.This(d.config.Walletd, d.config.Hotpathd),
	}
	for _, side := range sides {
		r.BaselineCores[side] = res.baseline[side].share()
	}
	for m := range methods {
		r.RequestsAsked += d.traffic.asked[m]
		r.Methods = append(r.Methods, methodRow{
			Method: ask.Name(m), Asked: d.traffic.asked[m],
			Equal: res.tally.equal[m], Different: res.tally.different[m],
			Legacy: res.figure(rig.Legacy, m), Sidecar: res.figure(rig.SidecarMode, m),
		})
	}
	r.Problems = r.judge()
	r.Passed = len(r.Problems) == 0
	return r
}

// judge returns the reasons why the run fails.
func (r *report) judge() []string {
	problems := []string{}
	add := func(bad bool, format string, a ...any) {
		if bad {
			problems = append(problems, fmt.Sprintf(format, a...))
		}
	}
	add(r.AnswersDifferent > 0, "%d answers differ: see the folder differences", r.AnswersDifferent)
	add(r.RequestsFailed > 0, "%d requests failed", r.RequestsFailed)
	add(r.AnswersCompared <= 0, "nothing was compared")
	for _, row := range r.Methods {
		add(row.Equal+row.Different == 0, "no answer of %s was compared", row.Method)
	}
	add(r.ServedBySidecar == 0, "the sidecar never served")
	add(r.SidecarShare < leastShare, "the sidecar answered only %.1f%% of what it was asked in its windows (fallbacks: %v)",
		100*r.SidecarShare, r.Fallbacks)
	add(r.LegacyShare < leastShare, "Go answered only %.1f%% of what it was asked in its windows", 100*r.LegacyShare)
	add(r.SidecarKills == 0, "the sidecar was never killed")
	for i, k := range r.Kills {
		add(k.ComparedAfter == 0, "nothing was compared after kill %d", i+1)
	}
	return problems
}

func (res *results) figure(side rig.Mode, method int) sideFigure {
	latency := slices.Clone(res.latency[side].latency[method])
	slices.Sort(latency)
	used := res.pure[side][method]
	return sideFigure{
		Measured: len(latency),
		P50Us:    microseconds(percentile(latency, 5000)),
		P99Us:    microseconds(percentile(latency, 9900)),
		CPUUs:    microseconds(used.perRequest(res.baseline[side].share())),
	}
}

// percentile returns the percentile of sorted values by nearest rank, or 0 if there are none.
func percentile(sorted []time.Duration, basisPoints int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (basisPoints*len(sorted) + 9999) / 10000
	return sorted[max(1, rank)-1]
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()/100) / 10 }

// share returns kept / meant, or 0 if meant is 0. If kept is larger than meant, it returns 1.
func share(kept, meant uint64) float64 {
	if meant == 0 {
		return 0
	}
	return min(1, float64(kept)/float64(meant))
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
