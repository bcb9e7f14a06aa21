package main

import (
	"fmt"
	"io"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

// config holds the settings from the command line and the environment.
type config struct {
	command.Ledger
	// lasts is the time from the first question to the last, including the rests.
	lasts time.Duration
	// brief tries out the program itself: one fault of each kind, and no verdict on memory.
	brief bool
	// postRate is the number of posted transactions per second.
	postRate, callers int
}

const usage = `usage: soak [flags]

Serves two generated ledgers, each with a walletd and its sidecar, one behind the stock front door and one behind the
spliced one, and asks both at the same time for SOAK_SECONDS (300 by default, the least). Between stretches of load
everything must come to rest: no request in flight, no slot taken, goroutines, open files and memory as after the first
stretch. The verdict goes to summary.json and summary.txt, samples and logs to the folders stock and spliced.

flags:`

func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	c := config{Ledger: command.Ledger{Accounts: 2_000, Transactions: 40_000}}
	flags := command.NewFlags("soak", output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	c.Flags(flags, "where the ledger, logs, samples and the verdict go")
	flags.BoolVar(&c.brief, "brief", false, "one fault of each kind, whatever SOAK_SECONDS says; memory is not judged")
	flags.Count(&c.postRate, "post-rate", 10, "transactions a second posted meanwhile: few, so that the ledger hardly grows")
	flags.Count(&c.callers, "callers", 48, "callers, half of them at each front door, each with one request in flight")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.lasts = flags.Seconds(env, command.Seconds{
		// To tell a slow leak from noise takes several minutes, half of them with one sidecar process.
		Variable: "SOAK_SECONDS", Default: 300, Min: 300, Max: 7 * 24 * 3600,
		Why: ": a shorter run can't judge memory (--brief tries out the rest)",
	})
	return c, flags.Err()
}
