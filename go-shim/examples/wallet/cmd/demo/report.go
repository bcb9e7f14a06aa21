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
	// StretchesRepeated counts stretches that were asked again, because the other side answered more than 1 % in them.
	StretchesRepeated int `json:"stretches_repeated"`
	// ComparedWithItself counts comparisons that are not in AnswersCompared, because one side may have given both
	// answers.
	ComparedWithItself int         `json:"compared_with_itself"`
	RequestsAsked      int         `json:"requests_asked"`
	Posted             int64       `json:"transactions_posted"`
	PostRate           float64     `json:"transactions_posted_per_second"`
	Methods            []methodRow `json:"methods"`
	Doors              []doorRow   `json:"front_doors"`
	// ReadModel is what Go answered from. Refused counts reads of it that were RESOURCE_EXHAUSTED, among RequestsFailed.
	ReadModel      string          `json:"read_model"`
	Sidecars       int             `json:"sidecars"`
	Refused        uint64          `json:"refused"`
	Kills          []kill          `json:"kills"`
	Ledger         ledgerFacts     `json:"ledger"`
	Seed           uint64          `json:"seed"`
	TrafficSeconds float64         `json:"traffic_seconds"`
	TotalSeconds   float64         `json:"total_seconds"`
	Machine        machine.Machine `json:"machine"`
}

// doorRow holds what happened behind one front door.
type doorRow struct {
	Door rig.Door `json:"front_door"`
	// ServedBySidecar and ServedByLegacy are the shim's own counts.
	ServedBySidecar uint64 `json:"served_by_sidecar"`
	ServedByLegacy  uint64 `json:"served_by_legacy"`
	// BelowGRPC counts the requests that the spliced door answered. HandedOver counts those that it left to grpc-go, by
	// reason.
	BelowGRPC  uint64            `json:"answered_below_grpc_go"`
	HandedOver map[string]uint64 `json:"handed_over_to_grpc_go"`
	// SidecarShare is the share of questions that the sidecar answered, of those asked while it should. It leaves out
	// stretches that were repeated, and the traffic around kills. LegacyShare is the same for Go.
	SidecarShare float64 `json:"sidecar_share"`
	LegacyShare  float64 `json:"legacy_share"`
	// Fallbacks counts, by the shim's reason, requests that were meant for the sidecar and answered by Go. It includes
	// those during kills.
	Fallbacks map[string]uint64 `json:"fallbacks"`
	Kills     int               `json:"sidecar_kills"`
	// BaselineCores is how many cores both processes keep busy while transactions are posted and nothing is asked.
	BaselineCores map[rig.Mode]float64 `json:"baseline_cores"`
	WalletdRSS    int64                `json:"walletd_rss_bytes"`
	SidecarRSS    int64                `json:"hotpathd_rss_bytes"`
	// LoadSeconds is the time from the start of walletd until the sidecar served the whole ledger.
	LoadSeconds float64 `json:"load_seconds"`
}

type ledgerFacts struct {
	Seed            uint64  `json:"seed"`
	Accounts        uint64  `json:"accounts"`
	Entries         uint64  `json:"entries"`
	Transactions    int     `json:"transactions"`
	Bytes           int64   `json:"bytes"`
	GenerateSeconds float64 `json:"generate_seconds"`
}

// methodRow is one line of the table.
type methodRow struct {
	Method    string `json:"method"`
	Asked     int    `json:"asked"`
	Equal     int    `json:"equal"`
	Different int    `json:"different"`
	// Legacy and Sidecar are behind the stock front door, the others behind the spliced one.
	Legacy        sideFigure `json:"legacy"`
	Sidecar       sideFigure `json:"sidecar"`
	LegacySpliced sideFigure `json:"legacy_spliced"`
	Spliced       sideFigure `json:"sidecar_spliced"`
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
	r := &report{
		RequestsFailed: d.traffic.failed.Count() + d.poster.Failed.Count(),
		FirstFailures:  append(d.traffic.failed.Messages(), d.poster.Failed.Messages()...),
		Posted:         d.poster.Posted.Load(),
		Kills:          d.kills(),
		ReadModel:      d.config.readModel,
		Sidecars:       d.config.sidecars,
		Ledger:         d.ledger,
		Seed:           d.config.Seed,
		TotalSeconds:   seconds(d.took),
		Machine:        machine.This(d.config.Walletd, d.config.Hotpathd),
	}
	r.SidecarKills = len(r.Kills)
	for _, k := range r.Kills {
		r.Refused += k.Refused
	}
	for m := range methods {
		r.RequestsAsked += d.traffic.asked[m]
		r.Methods = append(r.Methods, methodRow{Method: ask.Name(m), Asked: d.traffic.asked[m]})
	}
	for _, res := range d.all {
		r.add(res)
	}
	r.PostRate = float64(r.Posted) / max(r.TrafficSeconds, 0.001)
	r.Problems = r.judge()
	r.Passed = len(r.Problems) == 0
	return r
}

// add adds what happened behind one front door.
func (r *report) add(res *results) {
	row := doorRow{
		Door: res.door, ServedBySidecar: res.served[rig.SidecarMode], ServedByLegacy: res.served[rig.Legacy],
		BelowGRPC: res.below.Answered, HandedOver: res.below.HandedOver,
		SidecarShare: share(res.kept[rig.SidecarMode], res.meant[rig.SidecarMode]),
		LegacyShare:  share(res.kept[rig.Legacy], res.meant[rig.Legacy]),
		Fallbacks:    res.fallbacks, Kills: len(res.kills), BaselineCores: make(map[rig.Mode]float64),
		WalletdRSS: res.rss[0], SidecarRSS: res.rss[1], LoadSeconds: res.loadSeconds,
	}
	for _, side := range sides {
		row.BaselineCores[side] = res.baseline[side].share()
	}
	r.Doors = append(r.Doors, row)
	r.AnswersCompared += res.tally.compared() - res.sameSide
	r.AnswersDifferent += res.tally.unequal()
	r.ComparedWithItself += res.sameSide
	r.StretchesRepeated += res.disturbed
	r.ServedBySidecar += row.ServedBySidecar
	r.ServedByLegacy += row.ServedByLegacy
	r.TrafficSeconds += seconds(res.trafficTook)
	for m := range methods {
		of := &r.Methods[m]
		of.Equal += res.tally.equal[m]
		of.Different += res.tally.different[m]
		if res.door == rig.Spliced {
			of.LegacySpliced, of.Spliced = res.figure(rig.Legacy, m), res.figure(rig.SidecarMode, m)
		} else {
			of.Legacy, of.Sidecar = res.figure(rig.Legacy, m), res.figure(rig.SidecarMode, m)
		}
	}
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
	// A single sidecar that is killed leaves its load to the read model, and the database refuses what it cannot take.
	mayFail := 0
	if r.Sidecars == 1 {
		mayFail = int(r.Refused)
	}
	add(r.RequestsFailed > mayFail, "%d requests failed", r.RequestsFailed)
	add(r.AnswersCompared <= 0, "nothing was compared")
	for _, row := range r.Methods {
		add(row.Equal+row.Different == 0, "no answer of %s was compared", row.Method)
	}
	add(len(r.Doors) < len(rig.Doors()), "only %d front doors were tried", len(r.Doors))
	for _, d := range r.Doors {
		add(d.ServedBySidecar == 0, "behind the %s front door the sidecar never served", d.Door)
		add(d.SidecarShare < leastShare, "behind the %s front door the sidecar answered only %.1f%% of what it was asked in its "+
			"windows (fallbacks: %v)", d.Door, 100*d.SidecarShare, d.Fallbacks)
		add(d.LegacyShare < leastShare, "behind the %s front door Go answered only %.1f%% of what it was asked in its windows",
			d.Door, 100*d.LegacyShare)
		add(d.Kills == 0, "behind the %s front door the sidecar was never killed", d.Door)
		add((d.BelowGRPC > 0) != (d.Door == rig.Spliced), "behind the %s front door %d requests were answered below grpc-go",
			d.Door, d.BelowGRPC)
	}
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
