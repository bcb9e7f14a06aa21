package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// upgradeDrills replace the program of the sidecar, and have the running one upgraded.
func upgradeDrills() []drill {
	// A slow machine must not be taken for a new sidecar that is ill.
	args := []string{"--hop-timeout-ms", "5000"}
	return []drill{
		{
			name: "upgrade", fault: "the sidecar is upgraded by hotpathctl, twice", short: true, rounds: 2,
			shows:  "hotpath_shim_upgrades_total by done",
			setup:  setup{sidecar: rig.Supervise, replaceable: true, prepare: release(false), args: args},
			strike: steps(release(false), upgrade(exitDone)), seen: metrics(upgraded("done")),
			back: metrics(func(before, now view) bool { return now.Restarts == before.Restarts && wellAgain(before, now) }),
		},
		{
			name: "upgrade-refused", fault: "the sidecar is upgraded to a release with another schema, and then to a good one",
			shows: "hotpath_shim_upgrades_total by refused; the old one goes on",
			setup: setup{
				sidecar: rig.Supervise, replaceable: true, prepare: release(false), args: args,
				// Only the faulty sidecar knows the variable.
				env: func(s *stage) ([]string, error) { return s.faultEnv("schema"), nil },
			},
			strike: steps(release(true), upgrade(exitRefused)),
			seen: metrics(func(before, now view) bool {
				return upgraded("refused")(before, now) && now.Ready && now.Restarts == before.Restarts
			}),
			checks: stillForwards, mend: steps(release(false), upgrade(exitDone)),
			back: metrics(func(before, now view) bool { return upgraded("done")(before, now) && wellAgain(before, now) }),
		},
	}
}

// These are exit codes of hotpathctl upgrade.
const exitDone, exitRefused = 0, 65

// program is the sidecar's program that a drill replaces.
func (s *stage) program() string { return s.path("hotpathd") }

// release puts a copy of hotpathd, or of the faulty sidecar, in the place of the program.
func release(faulty bool) step {
	return func(_ context.Context, s *stage) error {
		from := s.config.Hotpathd
		if faulty {
			from = s.config.faulty
		}
		fresh := s.program() + ".new"
		return errors.Join(copyFile(fresh, from), os.Chmod(fresh, 0o755), os.Rename(fresh, s.program()))
	}
}

// upgrade has the sidecar upgraded, and expects an exit code.
func upgrade(code int) step {
	return func(ctx context.Context, s *stage) error {
		command := exec.CommandContext(ctx, s.config.hotpathctl, "upgrade", "--admin", "http://"+s.walletd.Admin)
		printed, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != code {
			return fmt.Errorf("hotpathctl upgrade: exit code %d, not %d (%v):\n%s", got, code, err, printed)
		}
		return nil
	}
}

// upgraded says whether an upgrade ended with a result.
func upgraded(result string) func(before, now view) bool {
	return func(before, now view) bool {
		const name = "hotpath_shim_upgrades_total"
		labels := probe.Labels{"result": result}
		return now.value(name, labels) > before.value(name, labels)
	}
}
