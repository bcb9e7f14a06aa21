package main

import (
	"io"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

// config holds the settings from the command line and the environment.
type config struct {
	command.Ledger
	// traffic is how long the demo asks questions.
	traffic time.Duration
	// postRate is the number of posted transactions per second.
	postRate int
}

func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	// By Zipf's law some accounts never occur. About 56,000 of these have entries.
	c := config{Ledger: command.Ledger{Accounts: 60_000, Transactions: 520_000}}
	flags := command.NewFlags("demo", output)
	c.Flags(flags, "where the ledger, logs and the report go")
	flags.Count(&c.postRate, "post-rate", 200, "transactions a second posted meanwhile")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.traffic = flags.Seconds(env, command.Seconds{Variable: "DEMO_SECONDS", Default: 35, Min: 6, Max: 3600})
	return c, flags.Err()
}
