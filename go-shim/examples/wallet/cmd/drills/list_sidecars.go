package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	balanceMethod, statisticsMethod = 0, 2
	wrongBalance                    = "wrong-balance"
)

// sidecarDrills have a sidecar that is not the one that Go expects.
func sidecarDrills() []drill {
	return []drill{
		{
			name: "wrong-shadow", fault: "in shadow, a sidecar with a bug: some balances are one too much",
			shows: "hotpath_shim_demoted, and a capture that hotpathctl explain prints", short: true,
			setup: setup{sidecar: rig.Attach, mode: "shadow"}, strike: exchange(wrongBalance), seen: metrics(demoted),
			checks: explained, mend: steps(exchange(""), lift), back: metrics(lifted), stays: nothingReal,
		},
		{
			name: "wrong-canary", fault: "the same in canary 20% check 100%: callers may see it until the demotion",
			shows: "hotpath_shim_demoted, and a capture that hotpathctl explain prints", short: true, tellsAnswers: true,
			setup:  setup{sidecar: rig.Attach, mode: "canary 20% check 100%"},
			strike: exchange(wrongBalance), seen: metrics(demoted), checks: explained, mend: steps(exchange(""), lift),
			back: metrics(lifted), stays: nothingReal,
		},
		{
			name: "schema", fault: "a sidecar whose GetStatistics has another schema", short: true,
			shows: "hotpath_shim_method_refused for that method alone",
			setup: setup{sidecar: rig.Attach}, strike: exchange("schema"),
			seen: metrics(func(before, now view) bool {
				return refused(now) && now.value("hotpath_shim_method_refused", nil) == 1 && now.CaughtUp() &&
					now.Reasons["method_refused"] > before.Reasons["method_refused"]
			}),
			mend: exchange(""),
			back: metrics(func(before, now view) bool { return !refused(now) && wellAgain(before, now) }),
		},
		{
			name: "gap", fault: "an event of the feed seems to be missing", short: true,
			shows: "hotpath_shim_feed_refusals_total by FEED_GAP",
			setup: setup{sidecar: rig.Attach, faulty: "gap"}, strike: turnOn,
			seen: metrics(func(_, now view) bool {
				return now.value("hotpath_shim_feed_refusals_total", probe.Labels{"reason": "FEED_GAP"}) > 0
			}),
			mend: turnOff, back: metrics(wellAgain),
		},
	}
}

// exchange ends the attached sidecar, and starts the faulty one with this fault in its place, or the good one.
func exchange(fault string) step {
	return func(_ context.Context, s *stage) error {
		s.attached().Stop(stopGrace)
		if fault == "" {
			return s.attach(s.config.Hotpathd, nil)
		}
		return s.attach(s.config.faulty, s.faultEnv(fault))
	}
}

func refused(now view) bool {
	return now.value("hotpath_shim_method_refused", probe.Labels{"method": ask.Hot[statisticsMethod]}) == 1
}

func demoted(_, now view) bool {
	return now.value("hotpath_shim_demoted", probe.Labels{"method": ask.Hot[balanceMethod]}) == 1
}

func lifted(before, now view) bool { return now.Demoted == 0 && wellAgain(before, now) }

// nothingReal says whether no real difference has been found since.
func nothingReal(before, now view) bool {
	return now.Demoted == 0 && now.Compared["real"] == before.Compared["real"] &&
		now.Compared["equal"] > before.Compared["equal"]
}

var errNoEvidence = errors.New("no evidence")

// wrongField is the line of hotpathctl explain that names the field and both values.
var wrongField = regexp.MustCompile(`balances\[\d+\]\.posted +-?\d+ +-?\d+`)

// explained checks that the evidence names the field that is wrong, as hotpathctl prints it, and that nothing else is.
func explained(ctx context.Context, s *stage) error {
	now, err := s.view(ctx)
	if err != nil {
		return err
	}
	if now.Demoted != 1 {
		return fmt.Errorf("%d methods are demoted, not GetBalance alone", now.Demoted)
	}
	captures, err := filepath.Glob(filepath.Join(s.path("evidence"), "mismatch-*.json"))
	if err != nil || len(captures) == 0 {
		return errors.Join(errNoEvidence, err)
	}
	printed, err := exec.CommandContext(ctx, s.config.hotpathctl, "explain", captures[0]).CombinedOutput()
	line := wrongField.FindString(string(printed))
	if err != nil || line == "" {
		return fmt.Errorf("%w: hotpathctl explain (%v) printed:\n%s", errNoEvidence, err, printed)
	}
	s.note("%d captures; hotpathctl explain: %s", len(captures), strings.Join(strings.Fields(line), " "))
	return nil
}

// lift takes the demotion back.
func lift(ctx context.Context, s *stage) error {
	printed, err := exec.CommandContext(ctx, s.config.hotpathctl, "lift", "--evidence", s.path("evidence"),
		ask.Hot[balanceMethod]).CombinedOutput()
	if err != nil {
		return fmt.Errorf("hotpathctl lift: %w\n%s", err, printed)
	}
	return nil
}
