package main

import (
	"io"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

// config is what the command line and the environment say.
type config struct {
	command.Ledger
	// traffic is how long questions are asked.
	traffic time.Duration
	// postRate is transactions a second.
	postRate int
}

func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	// By Zipf's law some accounts never occur, so that these are about 56,000 with entries.
	c := config{Ledger: command.Ledger{Accounts: 60_000, Transactions: 520_000}}
	flags := command.NewFlags("demo", output)
	c.Flags(flags, "where the ledger, logs and the report go")
	flags.Count(&c.postRate, "post-rate", 200, "transactions a second posted meanwhile")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.traffic = flags.Seconds(env, command.Seconds{Variable: "DEMO_SECONDS", Default: 35, Min: 5, Max: 3600})
	return c, flags.Err()
}
