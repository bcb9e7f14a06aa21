package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// check is one part of the verdict.
type check struct {
	Name     string `json:"name"`
	Passed   bool   `json:"passed"`
	Measured string `json:"measured"`
	Allowed  string `json:"allowed"`
	Why      string `json:"why,omitempty"`
}

// atRest checks every quiet sample by the conditions that rest had waited for.
func atRest(quiet []sample) check {
	c := check{
		Name: "rest", Measured: fmt.Sprintf("%d of %d rests complete", len(quiet), len(quiet)), Allowed: "all",
		Why: fmt.Sprintf("no slot taken, no request in flight, as many lanes as after warm-up; at most %d goroutines and %d "+
			"open files more, the store's own not counted", toleratedGoroutines, toleratedFiles),
	}
	var found []string
	for i, s := range quiet {
		for _, what := range s.notAtRest(&quiet[0]) {
			found = append(found, fmt.Sprintf("stretch %d: %s", i, what))
		}
	}
	if c.Passed = len(quiet) > 1 && len(found) == 0; !c.Passed {
		c.Measured = strings.Join(append(found, fmt.Sprintf("%d rests", len(quiet))), "; ")
	}
	return c
}

// explained checks lost lanes. A lane may end only because its sidecar ended or the connection to it broke.
func explained(quiet []sample) check {
	c := check{
		Name: "lost lanes", Measured: "none without a lost sidecar", Allowed: "only by the end of a sidecar or its connection",
	}
	var found []string
	for i := 1; i < len(quiet); i++ {
		before, now := quiet[i-1], quiet[i]
		lost := now.shim.Restarts > before.shim.Restarts || now.feedReconnects > before.feedReconnects
		for _, reason := range slices.Sorted(maps.Keys(now.laneFailures)) {
			n := now.laneFailures[reason] - before.laneFailures[reason]
			if n > 0 && !(lost && reason == laneEnded) {
				found = append(found, fmt.Sprintf("stretch %d: %d by %s", i, n, reason))
			}
		}
	}
	if len(quiet) > 0 {
		for reason, n := range quiet[0].laneFailures {
			if n > 0 && reason != laneEnded {
				found = append(found, fmt.Sprintf("stretch 0: %d by %s", n, reason))
			}
		}
	}
	if c.Passed = len(found) == 0; !c.Passed {
		c.Measured = strings.Join(found, "; ")
	}
	return c
}

// survived checks that no sidecar was lost in a stretch without a fault. Without this check a crash would go unseen,
// because the shim replaces a crashed sidecar and callers hardly notice.
func survived(quiet []sample, p plan) check {
	c := check{
		Name: "lost sidecars", Measured: "none without a fault", Allowed: "only in stretches with a fault", Passed: true,
	}
	for i := 1; i < len(quiet); i++ {
		before, now := quiet[i-1].shim.Restarts, quiet[i].shim.Restarts
		if p.at(quiet[i].stretch) == noFault && now > before {
			c.Passed = false
			c.Measured = fmt.Sprintf("stretch %d, without a fault: %d", quiet[i].stretch, now-before)
			return c
		}
	}
	return c
}

// laneEnded is the shim's reason for the loss of a lane whose stream ended.
const laneEnded = "ended"

// served checks that the sidecar answered in every stretch.
func served(quiet []sample) check {
	return inEveryStretch("served by the sidecar", quiet, func(s sample) uint64 { return s.shim.Served[rig.SidecarMode] })
}

// below checks that hot requests took the way of their front door: below grpc-go, or not.
func below(quiet []sample, door rig.Door) check {
	answered := func(s sample) uint64 { return s.shim.Below.Answered }
	if door == rig.Spliced {
		return inEveryStretch(belowName, quiet, answered)
	}
	c := check{Name: belowName, Allowed: "none", Passed: len(quiet) > 0}
	for _, s := range quiet {
		c.Passed = c.Passed && answered(s) == 0
		c.Measured = fmt.Sprint(answered(s))
	}
	return c
}

const belowName = "answered below grpc-go"

// calm checks that the spliced front door ended no connection by a rule: none of the callers breaks any.
func calm(quiet []sample) check {
	c := check{Name: "connections that broke a rule", Allowed: "none", Measured: "none", Passed: len(quiet) > 0}
	for _, s := range quiet {
		if len(s.shim.Below.Ended) > 0 {
			c.Passed, c.Measured = false, fmt.Sprintf("%v in stretch %d", s.shim.Below.Ended, s.stretch)
			return c
		}
	}
	return c
}

// inEveryStretch checks that a count rose in every stretch.
func inEveryStretch(name string, quiet []sample, count func(sample) uint64) check {
	c := check{Name: name, Allowed: "some in every stretch", Passed: len(quiet) > 0}
	var before uint64
	for i, s := range quiet {
		now := count(s)
		if now <= before {
			c.Passed = false
			c.Measured = fmt.Sprintf("none in stretch %d", i)
			return c
		}
		before = now
	}
	c.Measured = fmt.Sprint(before)
	return c
}

// answers checks what callers saw, apart from the comparison with Go.
func answers(asked counts, wrong int, first []string) []check {
	missing := asked.missing()
	every := check{
		Name: "every kind of caller", Passed: len(missing) == 0, Measured: "all", Allowed: "all",
		Why: "a soak that leaves one out shows nothing about it",
	}
	if !every.Passed {
		every.Measured = "missing: " + strings.Join(missing, ", ")
	}
	right := check{
		Name: "answers", Passed: wrong == 0, Measured: fmt.Sprintf("%d wrong of %d", wrong, asked.all()), Allowed: "0 wrong",
		Why: "the ledger decides, at a position not before the newest post; only who went away goes without",
	}
	if !right.Passed {
		right.Measured += ": " + strings.Join(first, "; ")
	}
	return []check{right, every}
}

// posts checks that all posts succeeded.
func posts(posted int64, failed int, first []string) check {
	return check{
		Name: "posts", Passed: failed == 0 && posted > 0, Allowed: "0 failed",
		Measured: strings.Join(append([]string{fmt.Sprintf("%d failed, %d posted", failed, posted)}, first...), "; "),
	}
}

// compared checks the comparison with Go's answers.
func compared(c counted) check {
	all := check{
		Name: "compared with Go alone", Passed: true, Allowed: "0 different, some of each method",
		Why: "each at the position of the answer that came under load",
	}
	equal, different := 0, 0
	var none []string
	for m := range methods {
		equal, different = equal+c.equal[m], different+c.different[m]
		if c.equal[m]+c.different[m] == 0 {
			none = append(none, ask.Name(m))
		}
	}
	all.Measured = fmt.Sprintf("%d different of %d", different, equal+different)
	if len(none) > 0 {
		all.Measured += "; no answer of " + strings.Join(none, ", ")
	}
	all.Passed = different == 0 && len(none) == 0
	return all
}

// faulted checks that all planned faults happened.
func faulted(c counted, p plan) check {
	want := make(map[fault]int)
	for _, what := range p.faults {
		want[what] += p.times
	}
	return check{
		Name: "faults", Passed: c.kills >= want[kills] && c.stops >= want[stops],
		Measured: fmt.Sprintf("%d kills, %d stops", c.kills, c.stops),
		Allowed:  fmt.Sprintf("at least %d kills, %d stops", want[kills], want[stops]),
	}
}

// trends returns the trends of memory. For the sidecar it uses the smallest resident set of each stretch: that includes
// all memory in use, and less of what the allocator keeps free.
func trends(all []sample, lastKill int) []trend {
	quiet := atQuiet(all)
	if len(quiet) == 0 {
		return nil
	}
	least := make(map[int]int64)
	for _, s := range all {
		if rss, known := least[s.stretch]; s.hotpathd.pid == quiet[len(quiet)-1].hotpathd.pid && (!known || s.hotpathd.rss < rss) {
			least[s.stretch] = s.hotpathd.rss
		}
	}
	var heap, resident, sidecar []point
	for _, s := range quiet {
		if s.stretch >= warmUp {
			heap = append(heap, point{s.walletd.requests, s.walletd.heap, s.entries})
			resident = append(resident, point{s.walletd.requests, s.walletd.rss, s.entries})
		}
	}
	for _, s := range settled(quiet, lastKill) {
		sidecar = append(sidecar, point{s.hotpathd.requests, least[s.stretch], s.entries})
	}
	// At the first rest nearly all memory is the ledger's. The rest of it makes the bound a little wider.
	each := func(bytes int64) float64 { return float64(bytes) / max(1, float64(quiet[0].entries)) }
	return []trend{
		trendOf("walletd's heap after a collection", heap, each(quiet[0].walletd.heap), heapBound),
		trendOf("walletd's resident set", resident, each(quiet[0].walletd.rss), residentBound),
		trendOf("hotpathd's resident set, least of each stretch", sidecar, each(quiet[0].hotpathd.rss), sidecarBound),
	}
}

// settled returns the quiet samples of the sidecar process that lives on after the last kill. It leaves out the first
// ones, in which the process may still grow to its size.
func settled(quiet []sample, lastKill int) []sample {
	var settled []sample
	for _, s := range quiet {
		if s.stretch > lastKill+settledAfter && s.hotpathd.pid == quiet[len(quiet)-1].hotpathd.pid &&
			s.hotpathd.requests >= settledRequests {
			settled = append(settled, s)
		}
	}
	return settled
}
