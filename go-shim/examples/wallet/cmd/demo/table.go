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
		{"", "", "", "", "p50 µs", "p50 µs", "p50 µs", "CPU µs", "CPU µs", "CPU µs", "CPU", "CPU"},
		{"method", "asked", "equal", "different", "Go", "sidecar", "spliced", "Go", "sidecar", "spliced", "Go/sidecar", "Go/spliced"},
	}
	var asked, equal, different int
	for _, m := range r.Methods {
		asked, equal, different = asked+m.Asked, equal+m.Equal, different+m.Different
		rows = append(rows, []string{
			m.Method, console.Count(m.Asked), console.Count(m.Equal), console.Count(m.Different),
			figure(m.Legacy.P50Us), figure(m.Sidecar.P50Us), figure(m.Spliced.P50Us),
			figure(m.Legacy.CPUUs), figure(m.Sidecar.CPUUs), figure(m.Spliced.CPUUs),
			ratio(m.Legacy.CPUUs, m.Sidecar.CPUUs), ratio(m.Legacy.CPUUs, m.Spliced.CPUUs),
		})
	}
	rows = append(rows, []string{
		"all", console.Count(asked), console.Count(equal), console.Count(different), "", "", "", "", "", "", "", "",
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
	for _, d := range r.Doors {
		fmt.Fprintf(&b, "%s front door: the sidecar answered %.2f%% of what was asked in its windows; %s answers by the sidecar in all, "+
			"%s by Go; %s never reached grpc-go\n", d.Door, 100*d.SidecarShare, console.Count(d.ServedBySidecar),
			console.Count(d.ServedByLegacy), console.Count(d.BelowGRPC))
	}
	if r.StretchesRepeated > 0 {
		fmt.Fprintf(&b, "%d stretches were asked again, because the machine stalled and the other side answered too\n",
			r.StretchesRepeated)
	}
	for i, k := range r.Kills {
		fmt.Fprintf(&b, "kill %d (%s): %d failed, Go answered %s, the sidecar had all %s transactions again after %s\n", i+1,
			k.Door, k.Failed, console.Count(k.AnsweredByGo), console.Count(k.Reloaded), milliseconds(k.CaughtUpMs))
	}
	b.WriteString(r.howMeasured())
	for _, d := range r.Doors {
		fmt.Fprintf(&b, "memory behind the %s front door: walletd %s, hotpathd %s\n", d.Door, console.Megabytes(d.WalletdRSS),
			console.Megabytes(d.SidecarRSS))
	}
	fmt.Fprintf(&b, "%.0f s of traffic, %.0f s in all\n", r.TrafficSeconds, r.TotalSeconds)
	b.WriteString(r.verdict())
	return b.String()
}

// verdict tells of failures and problems, and whether the run has passed.
func (r *report) verdict() string {
	var b strings.Builder
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
	var b strings.Builder
	fmt.Fprintf(&b, "Go and sidecar: behind the stock front door; spliced: the sidecar behind the spliced one. p50: the mix, %d questions in\n"+
		"flight (report.json has p99). CPU: user and system time of walletd and hotpathd together per request, one method\n"+
		"alone, %d in flight, less what posting alone takes:", fewAskers, manyAskers)
	for i, d := range r.Doors {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %.0f%% (Go) and %.0f%% (sidecar) of a core, %s", 100*d.BaselineCores[rig.Legacy],
			100*d.BaselineCores[rig.SidecarMode], d.Door)
	}
	fmt.Fprintf(&b, ".\nThe askers share the %d cores.\n", r.Machine.Cores)
	for _, door := range rig.Doors() {
		if dear := r.dearer(door); len(dear) > 0 {
			fmt.Fprintf(&b, "Here the hop behind the %s front door costs more CPU than it saves: %s.\n", door, strings.Join(dear, ", "))
		}
	}
	return b.String()
}

// dearer returns the methods that take more CPU by the sidecar behind this door than by Go behind grpc-go.
func (r *report) dearer(door rig.Door) (names []string) {
	for _, m := range r.Methods {
		hop := m.Sidecar
		if door == rig.Spliced {
			hop = m.Spliced
		}
		if m.Legacy.CPUUs > 0 && m.Legacy.CPUUs < hop.CPUUs {
			names = append(names, m.Method)
		}
	}
	return names
}
