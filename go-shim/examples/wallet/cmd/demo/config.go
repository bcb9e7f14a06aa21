package main

import (
	"io"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
)

// config holds the settings from the command line and the environment.
type config struct {
	command.Ledger
	// traffic is how long the demo asks questions.
	traffic time.Duration
	// postRate is the number of posted transactions per second.
	postRate int
	// readModel is what Go answers from, and sidecars how many sidecars there are.
	readModel string
	sidecars  int
}

// oneCopy is true if Go has no copy of the ledger in memory. It answers too slowly then to be measured beside a sidecar.
func (c config) oneCopy() bool { return c.readModel == readmodel.NameStore }

func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	// By Zipf's law some accounts never occur. About 56,000 of these have entries.
	c := config{Ledger: command.Ledger{Accounts: 60_000, Transactions: 520_000}}
	flags := command.NewFlags("demo", output)
	c.Flags(flags, "where the ledger, logs and the report go")
	flags.Count(&c.postRate, "post-rate", 200, "transactions a second posted meanwhile")
	flags.Choice(&c.readModel, "read-model", readmodel.NameLegacy, readmodel.AllNames(),
		"what Go answers from; store only kills sidecars, because Go would be SQLite")
	flags.Range(&c.sidecars, "sidecars", 1, 2, "sidecars of walletd, of which one is asked")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	traffic := command.Seconds{Variable: "DEMO_SECONDS", Default: 35, Min: 6, Max: 3600}
	if c.oneCopy() {
		traffic.Default = 16
	}
	c.traffic = flags.Seconds(env, traffic)
	return c, flags.Err()
}
