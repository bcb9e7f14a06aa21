// Soak serves generated ledgers with walletd and its sidecar for minutes, to a mix of well-behaved and ill-behaved
// callers. It kills and stops the sidecar meanwhile, and checks by metrics that nothing leaks and nothing gets stuck.
//
// There are two soaks at a time, one behind each front door of walletd, with half of the callers each. A soak is a sequence
// of stretches, which are numbered from 0:
//
//	serve ──> prepare ──> stretch ──> stretch ──> ... ──> finish: checks, trends of memory
//
//	stretch: load with a fault ──> compare with Go ──> answered: a few cheap requests ──> rest: a quiet sample
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "soak", Configure: configure,
		Interrupted: "Interrupted; walletd and its sidecar are stopped. No verdict.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			result, err := soakBoth(ctx, c, say)
			return err == nil && result.Passed, err
		},
	}.Main())
}
