// Soak serves a generated ledger with walletd and its sidecar for minutes, to a mix of well-behaved and ill-behaved
// callers. It kills and stops the sidecar meanwhile, and checks by metrics that nothing leaks and nothing gets stuck.
//
// A run is a sequence of stretches, which are numbered from 0:
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
			result, err := newSoak(c, say).run(ctx)
			return err == nil && result.Passed, err
		},
	}.Main())
}
