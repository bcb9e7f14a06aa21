// Command rollout takes a wallet's hot reads from Go to the sidecar and back, by the commands that an operator would use, while
// callers ask and post. It writes down what it did and saw, as docs/rollout.md shows it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// config is the parsed command line.
type config struct {
	walletd, hotpathd, hotpathctl, db, out, door string
	// compare is how many requests are to be compared in all, hold how many seconds a stage of the plan is held. rate is how
	// many questions there are a second during the plan; before and after it, callers ask as fast as they get answers.
	compare, hold, askers, rate int
}

func configure(args []string, _ func(string) string, output io.Writer) (config, error) {
	var c config
	f := command.NewFlags("rollout", output)
	f.Built(&c.walletd, "walletd", "target/bin/walletd")
	f.Built(&c.hotpathd, "hotpathd", "target/bin/hotpathd")
	f.Built(&c.hotpathctl, "hotpathctl", "target/bin/hotpathctl")
	f.StringVar(&c.db, "db", "", "the ledger, which the run adds to: give it a copy")
	f.StringVar(&c.out, "out", "target/rollout", "folder for the transcript, logs, modes and evidence")
	f.Choice(&c.door, "front-door", string(rig.Stock), []string{string(rig.Stock), string(rig.Spliced)}, "who reads hot reads from callers")
	f.Between(&c.compare, "compare", 1_000_000, 1_000, 1_000_000_000, "requests to compare in all")
	f.Between(&c.hold, "hold", 5, 1, 3600, "seconds for which the plan holds each stage")
	f.Between(&c.rate, "rate", 600, 1, 1_000_000, "questions a second while the plan looks at latencies")
	f.Between(&c.askers, "askers", 16, 1, 256, "callers, each of which asks one question after another")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if info, err := os.Stat(c.db); err != nil || info.IsDir() {
		return c, fmt.Errorf("%w: --db %q: is no ledger: import or generate one first", command.ErrUsage, c.db)
	}
	return c, f.Err()
}

func main() {
	os.Exit(command.Command[config]{
		Name: "rollout", Configure: configure, Interrupted: "interrupted: everything is stopped",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			return newWalk(c, say).run(ctx)
		},
	}.Main())
}
