package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// sample is one reading of both processes.
type sample struct {
	// seconds is the time since the first question.
	seconds float64
	stretch int
	// quiet is true for a sample at rest. Checks use these; other samples show what happened under load.
	quiet bool

	walletd, hotpathd process
	shim              rig.Shim
	breakerOpen       bool
	feedReconnects    uint64
	laneFailures      map[string]uint64
	entries           uint64
	// retired counts replaced versions of the ledger that are still being read.
	retired int
	// versions counts the versions that callers may still ask for, including the newest.
	versions int
	buffered int64
}

// process holds the figures of one process.
type process struct {
	pid, files, lanes, inFlight int
	rss                         int64
	requests                    uint64
	// goroutines and heap are set for walletd only. After a garbage collection heap is the reachable memory.
	goroutines int
	heap       int64
}

var errNoSidecar = errors.New("no sidecar process to read")

// read reads both processes. If the sidecar cannot be read, its part is zero and the error wraps errNoSidecar.
func read(ctx context.Context, w *rig.Walletd) (sample, error) {
	var s sample
	page, err := probe.Scrape(ctx, w.Admin)
	if err != nil {
		return s, err
	}
	s.ofWalletd(page)
	if s.walletd.pid, s.walletd.rss, s.walletd.files, err = account(w.Pid()); err != nil {
		return s, err
	}
	at, err := w.SidecarAddresses()
	if err != nil {
		return s, errors.Join(errNoSidecar, err)
	}
	page, err = probe.Scrape(ctx, at.Admin)
	if err != nil {
		return s, errors.Join(errNoSidecar, err)
	}
	s.ofHotpathd(page)
	if s.hotpathd.pid, s.hotpathd.rss, s.hotpathd.files, err = account(at.Pid); err != nil {
		s.hotpathd = process{}
		return s, errors.Join(errNoSidecar, err)
	}
	return s, nil
}

// account returns pid, the resident memory and the number of open files. It does not count the ledger's files, because
// the store opens up to four readers when it needs them.
func account(pid int) (same int, rss int64, files int, err error) {
	kernel, err := proc.AccountOf(pid)
	if err != nil {
		return 0, 0, 0, err
	}
	open, err := proc.OpenFiles(pid)
	for _, target := range open {
		if !strings.Contains(target, command.LedgerFile) {
			files++
		}
	}
	return pid, kernel.RSS, files, err
}

func (s *sample) ofWalletd(page probe.Page) {
	s.shim = rig.ShimOf(page)
	s.walletd = process{
		goroutines: int(page.Value("go_goroutines", nil)),
		heap:       int64(page.Value("go_memstats_heap_alloc_bytes", nil)),
		lanes:      int(page.Value("hotpath_shim_lanes", nil)),
		inFlight:   int(page.Value("hotpath_shim_lane_in_flight", nil)),
		requests:   uint64(page.Value("walletd_requests_total", nil)),
	}
	s.breakerOpen = page.Value("hotpath_shim_breaker_open", nil) != 0
	s.feedReconnects = uint64(page.Value("hotpath_shim_feed_reconnects_total", nil))
	s.entries = uint64(page.Value("walletd_entries", nil))
	s.laneFailures = make(map[string]uint64)
	for _, one := range page["hotpath_shim_lane_failures_total"].GetMetric() {
		s.laneFailures[one.GetLabel()[0].GetValue()] = uint64(one.GetCounter().GetValue())
	}
}

func (s *sample) ofHotpathd(page probe.Page) {
	s.hotpathd = process{
		lanes:    int(page.Value("hotpathd_lanes", nil)),
		inFlight: int(page.Value("hotpathd_in_flight", nil)),
		requests: uint64(page.Value("hotpathd_requests_total", nil)),
	}
	s.retired = int(page.Value("hotpathd_retired_waiting", nil))
	s.versions = int(page.Value("hotpathd_retained_versions", nil))
	s.buffered = int64(page.Value("hotpathd_buffered_bytes", nil))
}

// writeSamples writes a row for each process of each sample. walletd's rows have what the shim counts.
func writeSamples(to io.Writer, samples []sample) error {
	reasons := make(map[string]bool)
	for _, s := range samples {
		for reason := range s.shim.Reasons {
			reasons["fallbacks_"+reason] = true
		}
		for reason := range s.laneFailures {
			reasons["lane_failures_"+reason] = true
		}
	}
	extra := slices.Sorted(maps.Keys(reasons))
	out := csv.NewWriter(to)
	rows := [][]string{append([]string{
		"seconds", "stretch", "phase", "process", "pid", "rss_bytes", "open_fds", "lanes", "in_flight", "requests",
		"heap_bytes", "goroutines", "entries", "position", "served_by_sidecar", "served_by_go", "restarts", "breaker_open",
		"answered_below_grpc_go",
	}, extra...)}
	for _, s := range samples {
		rows = append(rows, s.walletdRow(extra))
		if s.hotpathd.pid != 0 {
			blank := make([]string, len(extra)+9)
			blank[3] = number(s.shim.Position)
			rows = append(rows, append(s.row("hotpathd", s.hotpathd), blank...))
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

func (s *sample) row(name string, p process) []string {
	phase := "load"
	if s.quiet {
		phase = "quiet"
	}
	return []string{
		strconv.FormatFloat(s.seconds, 'f', 2, 64), number(s.stretch), phase, name, number(p.pid), number(p.rss),
		number(p.files), number(p.lanes), number(p.inFlight), number(p.requests),
	}
}

func (s *sample) walletdRow(extra []string) []string {
	row := append(s.row("walletd", s.walletd), number(s.walletd.heap), number(s.walletd.goroutines), number(s.entries),
		number(s.shim.Head), number(s.shim.Served[rig.SidecarMode]), number(s.shim.Served[rig.Legacy]),
		number(s.shim.Restarts), strconv.FormatBool(s.breakerOpen), number(s.shim.Below.Answered))
	counted := make(map[string]uint64)
	for reason, n := range s.shim.Reasons {
		counted["fallbacks_"+reason] = n
	}
	for reason, n := range s.laneFailures {
		counted["lane_failures_"+reason] = n
	}
	for _, name := range extra {
		row = append(row, number(counted[name]))
	}
	return row
}

func number[N int | int64 | uint64](n N) string { return fmt.Sprint(n) }
