// Drills breaks a walletd and its sidecar on purpose, one fault at a time and behind both front doors, while callers post and
// read. No caller may see an error that Go alone would not have given, or a wrong answer. The fault must show in a metric or
// in the log, and must be over once it is mended.
//
//	generate ──> for each drill: start ──> load ──> strike ──> it shows ──> mend ──> it is over ──> compare with Go alone
//
// A drill is an entry of a list (drills.go and the files named list_*.go); stage.go carries it out. The callers are in
// callers.go. Afterwards a walletd without a sidecar answers every question again (reference.go), at the position of the
// answer. judge.go decides, without any clock or process.
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "drills", Configure: configure, Interrupted: "Interrupted; all processes are stopped. No verdict.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			if c.list {
				say.Line("%s", listed())
				return true, nil
			}
			found, err := drillAll(ctx, c, say)
			return err == nil && found.Passed, err
		},
	}.Main())
}
