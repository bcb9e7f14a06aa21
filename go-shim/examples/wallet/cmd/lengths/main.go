// Lengths measures how long the reads of one account take by the length of its history: scanned and indexed, in Rust and
// in Go. It runs the two benches that ask the same questions about the same ledger, checks that all replies are the same
// bytes, and writes the figures and charts.
//
//	cargo bench (history.rs) ──> criterion's estimates ──┬──> rows ──> lengths.csv, lengths.json, years.svg, month.svg
//	go test (BenchmarkByLength) ──> lines ───────────────┘
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "lengths", Configure: configure, Interrupted: "Interrupted; nothing was written.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) { return measure(ctx, c, say) },
	}.Main())
}
