package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// row is one line of the table.
type row struct{ phase, what, measured, goal string }

// tooShort stands for a rate over a time that was too short to be measured.
const tooShort = "too short to tell"

// table shows the figures in words, with goals beside them.
func (r *report) table() []string {
	rows := []row{{"phase", "what", "measured", "goal"}}
	rows = append(rows, row{"ledger", "accounts; entries of the median, of one in a hundred, of the longest", fmt.Sprintf("%s; %s, %s, %s",
		console.Count(r.Ledger.Accounts), console.Count(r.Ledger.Median), console.Count(r.Ledger.P99), console.Count(r.Ledger.Longest)), ""})
	if r.Fill != nil {
		rows = append(rows, r.Fill.rows(r.Goals)...)
	}
	if r.Busy != nil {
		rows = append(rows, r.Busy.rows(r.Goals)...)
	}
	if r.Live != nil {
		rows = append(rows, r.Live.rows(r.Goals)...)
	}
	if r.Churn != nil {
		rows = append(rows, r.Churn.rows(r.Live.Samples, r.Goals)...)
	}
	if r.Offload != nil {
		rows = append(rows, r.Offload.rows(r.Goals)...)
	}
	rows = append(rows, row{"tool", "most memory of this program", console.Megabytes(r.Tool.Peak), ""})
	return aligned(rows)
}

func aligned(rows []row) []string {
	var widths [3]int
	for _, one := range rows {
		for i, cell := range []string{one.phase, one.what, one.measured} {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for i, one := range rows {
		if i > 0 && one.phase == rows[i-1].phase {
			one.phase = ""
		}
		line := fmt.Sprintf("%-*s  %-*s  %-*s  %s", widths[0], one.phase, widths[1], one.what, widths[2], one.measured, one.goal)
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func count(n float64) string { return console.Count(int64(math.Round(n))) }

func (p part) line(phase string) row {
	return row{phase, "entries; transactions; entries of the longest account", fmt.Sprintf("%s; %s; %s",
		console.Count(p.Entries), console.Count(p.Transactions), console.Count(p.OfLong)), ""}
}

func (s rates) rows(phase, writerGoal string) []row {
	rate := func(n float64) string {
		if n == 0 {
			return tooShort
		}
		return count(n)
	}
	return []row{
		{phase, "entries a second", rate(s.PerSecond), ""},
		{phase, "entries per CPU second of the writer, which applies and publishes", rate(s.PerWriterSecond), writerGoal},
		{phase, "entries per CPU second of the main thread, which receives and decodes", rate(s.PerDecodingSecond), ""},
		{phase, "entries per CPU second of all of hotpathd", rate(s.PerCPUSecond), ""},
	}
}

func (c cpu) row(phase string) row {
	return row{phase, "CPU of writer; decoding; merges; serving; this program", fmt.Sprintf("%.2f; %.2f; %.2f; %.2f; %.2f s",
		c.Writer, c.Decoding, c.Chores, c.Serving, c.Tool), ""}
}

func (g goals) bytes() string {
	return fmt.Sprintf("at most %.0f (hoped for: %.0f)", g.BytesMost, g.BytesBest)
}

func (g goals) writer() string {
	return fmt.Sprintf("at least %s (hoped for: %s)", count(g.WriterLeast), count(g.WriterBest))
}

func (f *fillFigures) rows(goals goals) []row {
	rows := append([]row{f.part.line(fill), {fill, "time until all are published", span(f.Seconds * 1e6), ""}}, f.rates.rows(fill, "")...)
	return append(rows, f.CPU.row(fill),
		row{fill, "resident memory: empty; full; most", fmt.Sprintf("%s; %s; %s", f.Empty, f.Full,
			console.Megabytes(f.Full.Peak)), ""},
		row{fill, "resident bytes per entry", fmt.Sprintf("%.1f", f.BytesPerEntry), goals.bytes()},
		f.merges.line(fill))
}

func (f *busyFigures) rows(goals goals) []row {
	rows := append([]row{f.part.line(busy), {busy, "time until all are published", span(f.Seconds * 1e6), ""}},
		f.rates.rows(busy, goals.writer())...)
	return append(rows, f.CPU.row(busy),
		row{busy, fmt.Sprintf("answers a second to %d readers", f.Readers), count(f.AnswersPerSecond), ""},
		f.Balances.row(busy, "balances"), f.Statistics.row(busy, "statistics of the longest account"),
		f.Publication.row(busy, ""), f.merges.line(busy))
}

// row shows the median and the slowest of a hundred.
func (l latency) row(phase, what string) row {
	return row{phase, what + ": p50; p99", fmt.Sprintf("%s; %s", span(l.P50), span(l.P99)), ""}
}

func (p publication) row(phase, goal string) row {
	r := row{phase, "arrival at hotpathd to publication, p99", "not offered by this hotpathd", goal}
	switch {
	case !p.Offered:
	case p.Observed == 0:
		r.measured = "nothing was observed"
	case p.P99AtMost == 0 && len(p.Buckets) > 0:
		r.measured = "more than " + span(p.Buckets[len(p.Buckets)-1].AtMost*1e6)
	default:
		r.measured = "at most " + span(p.P99AtMost*1e6)
	}
	return r
}

func (f *liveFigures) rows(goals goals) []row {
	rows := []row{f.part.line(live), {live, "transactions a second", console.Count(f.Rate), ""}}
	full := func(what string, l latency, goal string) {
		rows = append(rows, row{live, what + ": p50; p99", fmt.Sprintf("%s; %s", span(l.P50), span(l.P99)), goal},
			row{live, "  least; p99.9; most", fmt.Sprintf("%s; %s; %s", span(l.Min), span(l.P999), span(l.Max)), ""})
	}
	full(fmt.Sprintf("commit until a reader has an answer with it (%s commits)", console.Count(f.Visible.Count)), f.Visible,
		"p99 at most "+span(goals.Visible))
	full("the same request when there is nothing to wait for", f.Again, "")
	full("commit until the reader asks, part of the first", f.Begun, "")
	rows = append(rows, f.Publication.row(live, "at most "+span(goals.Publication)))
	var versions, retired uint64
	for _, one := range f.Samples {
		versions, retired = max(versions, one.Versions), max(retired, one.Retired)
	}
	return append(rows, f.CPU.row(live),
		row{live, "most retained versions; most replaced versions still being read", fmt.Sprintf("%s; %s", console.Count(versions),
			console.Count(retired)), ""},
		f.merges.line(live),
		f.Balances.row(live, "balances"), f.Statistics.row(live, "statistics of the longest account"),
		row{live, "this program's longest pause; most commits at once; samples missed", fmt.Sprintf("%s; %s; %d",
			span(f.LongestPause*1e3), console.Count(f.LargestBatch), f.Missed), ""})
}

func (f *churnFigures) rows(samples []sample, goals goals) []row {
	var memory []string
	for n, one := range samples {
		// Every other one is every 10 s.
		if n%2 == 0 || n == len(samples)-1 {
			memory = append(memory, fmt.Sprintf("%.1f", float64(one.Resident)/1e6))
		}
	}
	const perRow = 8
	var rows []row
	for what := "resident memory as live goes on, in MB"; len(memory) > 0; what = "" {
		n := min(perRow, len(memory))
		rows = append(rows, row{churn, what, strings.Join(memory[:n], " "), ""})
		memory = memory[n:]
	}
	return append(rows,
		row{churn, "the same at rest, before and after", fmt.Sprintf("%s; %s", f.Before, f.After), ""},
		row{churn, "resident bytes per added entry, at rest", fmt.Sprintf("%.1f", f.PerEntry), goals.bytes()},
		row{churn, "resident bytes per entry of the whole ledger, at rest after all phases", fmt.Sprintf("%.1f", f.OfAll), goals.bytes()},
		row{churn, "the slope of the first half, of the second, kept versions included", fmt.Sprintf("%.1f; %.1f", f.FirstHalf,
			f.SecondHalf), ""})
}

func (r rested) String() string {
	if !r.Settled {
		return console.Megabytes(r.Resident) + ", still changing"
	}
	return console.Megabytes(r.Resident)
}

func (m merges) line(phase string) row {
	return row{phase, "merges of long histories (chores); their thread at work", fmt.Sprintf("%s; %s", console.Count(m.Merges),
		span(m.Took*1e6)), ""}
}
