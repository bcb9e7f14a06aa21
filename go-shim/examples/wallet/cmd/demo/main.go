// Demo shows all of hotpath on a generated ledger. It serves the ledger with walletd and its sidecar, asks both the
// same questions, compares the answers byte for byte, kills the sidecar under load, and reports. Transactions are
// posted all the time. It does so twice, first behind walletd's stock front door, then behind the spliced one. The steps
// are:
//
//	             ┌────────────── behind each front door ──────────────┐
//	generate ──> serve ──> baselines ──> rounds of 4 windows ──> kills ──> report
//
// In a window one side (Go, called legacy, or the sidecar) answers a mix of questions, and then each method alone. When
// the side changes, the new side is asked again what the other one answered.
//
// With --read-model store Go reads the database instead, and there are only the kills: with --sidecars 2, of one of two.
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "demo", Configure: configure, Interrupted: "Interrupted; walletd and its sidecar are stopped.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			report, err := newDemo(c, say).run(ctx)
			return err == nil && report.Passed, err
		},
	}.Main())
}
