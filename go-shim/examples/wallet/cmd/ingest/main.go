// Ingest measures how fast a sidecar takes in events, what an entry takes in its memory, and how soon readers see a
// commit. It feeds a real hotpathd through the public API of the shim from a ledger of its own, which it makes from a
// seed before it measures, and asks hotpathd directly, without Go in between.
//
//	maker ──> source ──> shim ──> socket ──> hotpathd <── readers, and one that waits for commits
//	fill ──> busy ──> live (every few seconds a sample, for churn) ──> check ──> table, ingest.json, commits.csv
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "ingest", Configure: configure, Interrupted: "Interrupted; hotpathd is stopped. Nothing was written.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			result, err := ingest(ctx, c, say)
			return err == nil && result.Wrong == "", err
		},
	}.Main())
}
