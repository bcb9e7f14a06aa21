package main

import (
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// still returns a quiet sample of stretch n, with requests and times that grow with n.
func still(n int) sample {
	return sample{
		seconds: float64(20 * n), stretch: n, quiet: true,
		walletd:  process{pid: 1, files: 30, lanes: 2, rss: 60e6, goroutines: 60, heap: 12e6, requests: uint64(n) * 48_000},
		hotpathd: process{pid: 2, files: 17, lanes: 2, rss: 40e6, requests: uint64(n) * 30_000},
		shim: rig.Shim{
			Ready: true, Position: 100, Head: 100,
			Served: map[rig.Mode]uint64{rig.SidecarMode: uint64(n+1) * 100, rig.Legacy: 5},
		},
		laneFailures: map[string]uint64{}, entries: 80_000,
	}
}

func stills(n int) []sample {
	all := make([]sample, n)
	for i := range all {
		all[i] = still(i)
	}
	return all
}

func TestRestIsJudgedByEachMetric(t *testing.T) {
	if c := atRest(stills(6)); !c.Passed {
		t.Fatalf("all at rest: %s", c.Measured)
	}
	for want, spoil := range map[string]func(*sample){
		"slots are taken":             func(s *sample) { s.walletd.inFlight = 1 },
		"hotpathd_in_flight is 2":     func(s *sample) { s.hotpathd.inFlight = 2 },
		"hotpathd_buffered_bytes":     func(s *sample) { s.buffered = 9000 },
		"unread_bytes is 7":           func(s *sample) { s.shim.Below.Unread = 7 },
		"connections of the spliced":  func(s *sample) { s.shim.Below.Connections = 1 },
		"still reads":                 func(s *sample) { s.retired = 1 },
		"history is kept too long":    func(s *sample) { s.versions = 2 },
		"goroutines of walletd":       func(s *sample) { s.walletd.goroutines += toleratedGoroutines + 1 },
		"open files of walletd":       func(s *sample) { s.walletd.files += toleratedFiles + 1 },
		"open files of hotpathd":      func(s *sample) { s.hotpathd.files += toleratedFiles + 1 },
		"the breaker is open":         func(s *sample) { s.breakerOpen = true },
		"the shim has 1 lanes":        func(s *sample) { s.walletd.lanes = 1 },
		"1 lanes are open, not 2":     func(s *sample) { s.walletd.lanes, s.hotpathd.lanes = 1, 1 },
		"no lane is open":             func(s *sample) { s.walletd.lanes, s.hotpathd.lanes = 0, 0 },
		"not ready at the head":       func(s *sample) { s.shim.Position = 99 },
		"there is no sidecar to read": func(s *sample) { s.hotpathd = process{} },
	} {
		quiet := stills(6)
		spoil(&quiet[4])
		if c := atRest(quiet); c.Passed || !strings.Contains(c.Measured, "stretch 4: ") || !strings.Contains(c.Measured, want) {
			t.Errorf("%q: passed %v, got %q", want, c.Passed, c.Measured)
		}
	}
	tolerated := stills(6)
	tolerated[5].walletd.goroutines += toleratedGoroutines
	if c := atRest(tolerated); !c.Passed {
		t.Errorf("within what is tolerated: %s", c.Measured)
	}
	if c := atRest(stills(1)); c.Passed {
		t.Error("one sample shows no change")
	}
}

func TestALeakOfOnePerFaultExceedsWhatIsTolerated(t *testing.T) {
	p := planFor(config{})
	faults := make(map[fault]int)
	for _, what := range p.faults {
		faults[what] += p.times
	}
	for _, what := range []fault{kills, stops} {
		if faults[what] <= toleratedGoroutines || faults[what] <= toleratedFiles {
			t.Errorf("%d times %s: a leak of one each would be tolerated", faults[what], what)
		}
	}
}

func TestLanesAreLostOnlyWithTheirSidecar(t *testing.T) {
	quiet := stills(4)
	for i := 2; i < 4; i++ {
		quiet[i].shim.Restarts, quiet[i].laneFailures = 1, map[string]uint64{laneEnded: 3}
	}
	if c := explained(quiet); !c.Passed {
		t.Fatalf("a kill: %s", c.Measured)
	}
	quiet[3].laneFailures = map[string]uint64{laneEnded: 4}
	if c := explained(quiet); c.Passed || !strings.Contains(c.Measured, "stretch 3: 1 by ended") {
		t.Errorf("without a kill: %+v", c)
	}
	quiet[3].feedReconnects = 1
	if c := explained(quiet); !c.Passed {
		t.Errorf("a lost connection: %s", c.Measured)
	}
	for _, at := range []int{0, 2} {
		quiet[at].laneFailures = map[string]uint64{"unknown_id": 1}
		if c := explained(quiet); c.Passed || !strings.Contains(c.Measured, "by unknown_id") {
			t.Errorf("no kill explains this: %+v", c)
		}
		quiet[at].laneFailures = map[string]uint64{}
	}
}

func TestASidecarThatCrashesByItselfFailsTheRun(t *testing.T) {
	p := planFor(config{})
	calm := len(p.faults) // the first of the rotation is without a fault
	quiet := stills(calm + 3)
	for i := 1; i < len(quiet); i++ {
		quiet[i].shim.Restarts = uint64(min(i, calm-1))
	}
	if c := survived(quiet, p); !c.Passed {
		t.Fatalf("killed: %+v", c)
	}
	quiet[calm].shim.Restarts++
	if c := survived(quiet, p); c.Passed || !strings.Contains(c.Measured, "stretch 7, without a fault: 1") {
		t.Errorf("crashed: %+v", c)
	}
}

func TestTheSidecarMustAnswerInEveryStretch(t *testing.T) {
	quiet := stills(4)
	if c := served(quiet); !c.Passed {
		t.Fatalf("%+v", c)
	}
	quiet[3].shim.Served[rig.SidecarMode] = quiet[2].shim.Served[rig.SidecarMode]
	if c := served(quiet); c.Passed || !strings.Contains(c.Measured, "stretch 3") {
		t.Errorf("silent at the end: %+v", c)
	}
	if c := served(nil); c.Passed {
		t.Error("nothing passed")
	}
}

func TestRequestsMustTakeTheWayOfTheirDoor(t *testing.T) {
	stock, spliced := stills(4), stills(4)
	for i := range spliced {
		spliced[i].shim.Below.Answered = uint64(i + 1)
	}
	if one, other := below(stock, rig.Stock), below(spliced, rig.Spliced); !one.Passed || !other.Passed || other.Measured != "4" {
		t.Fatalf("%+v, %+v", one, other)
	}
	if one, other := below(spliced, rig.Stock), below(stock, rig.Spliced); one.Passed || other.Passed {
		t.Errorf("the wrong way passed: %+v, %+v", one, other)
	}
	if below(nil, rig.Stock).Passed || below(nil, rig.Spliced).Passed {
		t.Error("nothing passed")
	}
	spliced[3].shim.Below.Answered = 3
	if c := below(spliced, rig.Spliced); c.Passed || !strings.Contains(c.Measured, "stretch 3") {
		t.Errorf("another way at the end: %+v", c)
	}
}

func TestNoConnectionMayBreakARule(t *testing.T) {
	quiet := stills(4)
	if c := calm(quiet); !c.Passed || calm(nil).Passed {
		t.Fatalf("%+v", c)
	}
	quiet[2].shim.Below.Ended = map[string]uint64{"stalled": 1}
	if c := calm(quiet); c.Passed || c.Measured != "map[stalled:1] in stretch 2" {
		t.Errorf("%+v", c)
	}
}

func goodCounts() counts {
	c := counts{long: 1}
	for m := range manners {
		c.asked[m] = 10
	}
	c.gone[cancelling], c.gone[hurried] = 3, 3
	return c
}

func TestEveryMannerMustHaveBeenThere(t *testing.T) {
	passed := func(c counts, wrong int) bool {
		for _, one := range answers(c, wrong, nil) {
			if !one.Passed {
				return false
			}
		}
		return true
	}
	if !passed(goodCounts(), 0) {
		t.Fatal("a good run failed")
	}
	if passed(goodCounts(), 1) {
		t.Error("a wrong answer passed")
	}
	for name, spoil := range map[string]func(*counts){
		"no large replies": func(c *counts) { c.long = 0 }, "nobody cancelled": func(c *counts) { c.gone[cancelling] = 0 },
		"no deadline passed": func(c *counts) { c.gone[hurried] = 0 }, "nobody ahead": func(c *counts) { c.asked[ahead] = 0 },
	} {
		c := goodCounts()
		spoil(&c)
		if passed(c, 0) {
			t.Errorf("%s: passed", name)
		}
	}
}

func TestComparisonPostsAndFaultsAreJudged(t *testing.T) {
	p := planFor(config{})
	good := counted{kills: 6, stops: 6}
	for m := range methods {
		good.equal[m] = 1
	}
	if !compared(good).Passed || !faulted(good, p).Passed || !posts(1, 0, nil).Passed {
		t.Fatalf("a good run: %+v, %+v", compared(good), faulted(good, p))
	}
	different, missing, calm := good, good, good
	different.different[2], missing.equal[4], calm.kills = 1, 0, 5
	if compared(different).Passed || compared(missing).Passed || faulted(calm, p).Passed {
		t.Error("a bad run passed")
	}
	if posts(0, 0, nil).Passed || posts(5, 1, nil).Passed {
		t.Error("bad posts passed")
	}
}
