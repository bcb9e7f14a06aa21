package main

import (
	"fmt"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// This file is about a demo with a single copy of the ledger, which the sidecars have. There is nothing to measure Go by,
// so its stages are kills. What the sidecar answered after each is asked again from the database.

// subject says what the demo shows.
func (d *demo) subject() string {
	if d.config.oneCopy() {
		return fmt.Sprintf("one copy of the ledger outside of Go, %s is killed under load", d.oneSidecar())
	}
	return "the same answers from Go and from the Rust sidecar"
}

func (d *demo) oneSidecar() string {
	if d.config.sidecars > 1 {
		return "one of two sidecars"
	}
	return "the sidecar"
}

func (d *demo) eachSidecar() string {
	if d.config.sidecars > 1 {
		return "each of two sidecars"
	}
	return "the sidecar"
}

func (k kill) textOfTwo(n int) string {
	return fmt.Sprintf("kill %d: SIGKILL under load to the one that is asked; %s questions asked meanwhile, %d failed, Go answered %s\n"+
		"           of them; the other one is asked after %s, the first stands by after %s; %s answers compared, %d differ",
		n, console.Count(k.Asked), k.Failed, console.Count(k.AnsweredByGo), milliseconds(k.TakenOverMs), milliseconds(k.CaughtUpMs),
		console.Count(k.ComparedAfter), k.DifferentAfter)
}

// summaryOfKills is summary without what only the other stages measure.
func (r *report) summaryOfKills() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answers compared with the database at the same position, %s differ; %s questions and %s transactions (%.0f/s),\n"+
		"%s failed, of which the database refused %s\n",
		console.Count(r.AnswersCompared), console.Count(r.AnswersDifferent), console.Count(r.RequestsAsked), console.Count(r.Posted), r.PostRate,
		console.Count(r.RequestsFailed), console.Count(r.Refused))
	for i, k := range r.Kills {
		fmt.Fprintf(&b, "kill %d (%s): %d of %s failed, Go answered %s", i+1, k.Door, k.Failed, console.Count(k.Asked), console.Count(k.AnsweredByGo))
		if k.TakenOverMs >= 0 {
			fmt.Fprintf(&b, "; the other one was asked after %s", milliseconds(k.TakenOverMs))
		}
		b.WriteString("\n")
	}
	for _, d := range r.Doors {
		fmt.Fprintf(&b, "memory behind the %s front door: walletd %s, %d of hotpathd %s\n", d.Door, console.Megabytes(d.WalletdRSS),
			r.Sidecars, console.Megabytes(d.SidecarRSS))
	}
	fmt.Fprintf(&b, "%.0f s of traffic, %.0f s in all\n", r.TrafficSeconds, r.TotalSeconds)
	b.WriteString(r.verdict())
	return b.String()
}
