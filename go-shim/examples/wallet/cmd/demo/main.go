// Demo shows the whole of hotpath on a generated ledger: it serves it with walletd and its sidecar, asks the same
// questions of both, compares the answers byte for byte, kills the sidecar under load, and reports.
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
