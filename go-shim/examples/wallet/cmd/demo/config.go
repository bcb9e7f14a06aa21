package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// config is what the command line and the environment say.
type config struct {
	walletd, hotpathd, out string
	// traffic is how long questions are asked.
	traffic time.Duration
	seed    uint64
	// accounts and transactions are the size of the ledger; two entries to most transactions.
	accounts, transactions int
	// postRate is transactions a second.
	postRate int
}

const (
	secondsVariable = "DEMO_SECONDS"
	defaultSeconds  = 35
	minSeconds      = 5
	maxSeconds      = 3600
)

var errUsage = errors.New("usage")

// configure reads everything first, so that one message lists all mistakes.
func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&c.walletd, "walletd", "target/bin/walletd", "the built walletd")
	flags.StringVar(&c.hotpathd, "hotpathd", "target/release/hotpathd", "the built hotpathd")
	flags.StringVar(&c.out, "out", "target/demo", "where the ledger, logs and the report go")
	flags.Uint64Var(&c.seed, "seed", 1, "seeds the ledger, the questions and the transactions")
	// By Zipf's law some accounts never occur, so that these are about 56,000 with entries.
	flags.IntVar(&c.accounts, "accounts", 60_000, "accounts that the ledger may have")
	flags.IntVar(&c.transactions, "transactions", 520_000, "transactions of the ledger")
	flags.IntVar(&c.postRate, "post-rate", 200, "transactions a second posted meanwhile")
	if err := flags.Parse(args); err != nil {
		return c, errors.Join(errUsage, err)
	}
	var mistakes []error
	add := func(format string, a ...any) { mistakes = append(mistakes, fmt.Errorf(format, a...)) }
	if flags.NArg() > 0 {
		add("unexpected argument %q", flags.Arg(0))
	}
	for name, path := range map[string]string{"walletd": c.walletd, "hotpathd": c.hotpathd} {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			add("--%s %s: is no file; build it first (`make demo` does)", name, path)
		}
	}
	for name, n := range map[string]int{
		"accounts": c.accounts, "transactions": c.transactions, "post-rate": c.postRate,
	} {
		if n < 1 {
			add("--%s: must be at least 1", name)
		}
	}
	seconds := defaultSeconds
	if text := env(secondsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < minSeconds || n > maxSeconds {
			add("%s=%s: must be a whole number from %d to %d", secondsVariable, text, minSeconds, maxSeconds)
		}
		seconds = n
	}
	c.traffic = time.Duration(seconds) * time.Second
	if len(mistakes) > 0 {
		return c, errors.Join(append([]error{errUsage}, mistakes...)...)
	}
	return c, nil
}
