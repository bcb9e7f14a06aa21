package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// table returns the figures of all methods as a table in text.
func (r *report) table() string {
	rows := [][]string{
		{"", "", "", "", "p50 µs", "p50 µs", "p99 µs", "p99 µs", "CPU µs", "CPU µs", "CPU"},
		{"method", "asked", "equal", "different", "Go", "sidecar", "Go", "sidecar", "Go", "sidecar", "Go/sidecar"},
	}
	var asked, equal, different int
	for _, m := range r.Methods {
		asked, equal, different = asked+m.Asked, equal+m.Equal, different+m.Different
		rows = append(rows, []string{
			m.Method, console.Count(m.Asked), console.Count(m.Equal), console.Count(m.Different),
			figure(m.Legacy.P50Us), figure(m.Sidecar.P50Us), figure(m.Legacy.P99Us), figure(m.Sidecar.P99Us),
			figure(m.Legacy.CPUUs), figure(m.Sidecar.CPUUs), ratio(m.Legacy.CPUUs, m.Sidecar.CPUUs),
		})
	}
	rows = append(rows, []string{
		"all", console.Count(asked), console.Count(equal), console.Count(different), "", "", "", "", "", "", "",
	})
	return align(rows)
}

// figure formats a time with at most one decimal. Zero, which means nothing measured, is a dash.
func figure(us float64) string {
	switch {
	case us == 0:
		return "-"
	case us < 100:
		return fmt.Sprintf("%.1f", us)
	default:
		return console.Count(int64(us + 0.5))
	}
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fx", a/b)
}

// align aligns the first column left and the others right. It draws a line below the two rows of the head and above the
// last row.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	whole := -gap
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		whole += widths[i] + gap
	}
	var b strings.Builder
	for n, row := range rows {
		if n == 2 || n == len(rows)-1 {
			b.WriteString(strings.Repeat("─", whole) + "\n")
		}
		b.WriteString(strings.TrimRight(padded(row, widths), " ") + "\n")
	}
	return b.String()
}

// gap is the space between two columns.
const gap = 2

func padded(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range row {
		blank := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			b.WriteString(cell + blank)
			continue
		}
		b.WriteString(strings.Repeat(" ", gap) + blank + cell)
	}
	return b.String()
}

// summary returns the verdict in a few lines.
func (r *report) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answers compared at the same position, %s differ; %s questions and %s transactions (%.0f/s), %s failed\n",
		console.Count(r.AnswersCompared), console.Count(r.AnswersDifferent), console.Count(r.RequestsAsked), console.Count(r.Posted), r.PostRate,
		console.Count(r.RequestsFailed))
	fmt.Fprintf(&b, "the sidecar answered %.2f%% of what was asked in its windows; %s answers by the sidecar in all, %s by Go\n",
		100*r.SidecarShare, console.Count(r.ServedBySidecar), console.Count(r.ServedByLegacy))
	if r.StretchesRepeated > 0 {
		fmt.Fprintf(&b, "%d stretches were asked again, because the machine stalled and the other side answered too\n",
			r.StretchesRepeated)
	}
	for i, k := range r.Kills {
		fmt.Fprintf(&b, "kill %d: %d failed, Go answered %s, the sidecar had all %s transactions again after %s\n", i+1,
			k.Failed, console.Count(k.AnsweredByGo), console.Count(k.Reloaded), milliseconds(k.CaughtUpMs))
	}
	b.WriteString(r.howMeasured())
	fmt.Fprintf(&b, "memory: walletd %s, hotpathd %s; %.0f s of traffic, %.0f s in all\n", console.Megabytes(r.WalletdRSS),
		console.Megabytes(r.SidecarRSS), r.TrafficSeconds, r.TotalSeconds)
	for _, failure := range r.FirstFailures {
		fmt.Fprintf(&b, "failed: %s\n", failure)
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(&b, "PROBLEM: %s\n", problem)
	}
	if r.Passed {
		b.WriteString("PASSED\n")
	}
	return b.String()
}

// howMeasured returns an explanation of the table's columns.
func (r *report) howMeasured() string {
	text := fmt.Sprintf("p50 and p99: the mix, %d questions in flight. CPU: user and system time of walletd and hotpathd together per\n"+
		"request, one method alone, %d in flight, less the %.0f%% (Go) and %.0f%% (sidecar) of a core that posting alone takes.\n"+
		"The askers share the %d cores.\n", fewAskers, manyAskers, 100*r.BaselineCores[rig.Legacy],
		100*r.BaselineCores[rig.SidecarMode], r.Machine.Cores)
	var cheap []string
	for _, m := range r.Methods {
		if m.Legacy.CPUUs > 0 && m.Legacy.CPUUs < m.Sidecar.CPUUs {
			cheap = append(cheap, m.Method)
		}
	}
	if len(cheap) > 0 {
		text += "Here the hop to the sidecar costs more CPU than it saves: " + strings.Join(cheap, ", ") + ".\n"
	}
	return text
}
