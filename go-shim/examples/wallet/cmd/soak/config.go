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
	// lasts is from the first question to the last, the rests between included.
	lasts time.Duration
	// brief is a trial of the program itself: one fault of each kind, no verdict on memory.
	brief bool
	seed  uint64
	// accounts and transactions are the size of the ledger; two entries to most transactions.
	accounts, transactions int
	// postRate is transactions a second.
	postRate, callers int
}

const (
	secondsVariable = "SOAK_SECONDS"
	// minSeconds: slow leaks show only against the noise of several minutes, half of them on one sidecar process.
	minSeconds = 300
	maxSeconds = 7 * 24 * 3600
)

var errUsage = errors.New("usage")

const usage = `usage: soak [flags]

Serves a generated ledger with walletd and its sidecar and asks for SOAK_SECONDS (300 by default, the least). Between
stretches of load everything must come to rest: no request in flight, no slot taken, goroutines, open files and memory
as after the first stretch. Samples go to samples.csv, the verdict to summary.json and summary.txt.

flags:`

// configure reads everything first, so that one message lists all mistakes.
func configure(args []string, env func(string) string, output io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&c.walletd, "walletd", "target/bin/walletd", "the built walletd")
	flags.StringVar(&c.hotpathd, "hotpathd", "target/release/hotpathd", "the built hotpathd")
	flags.StringVar(&c.out, "out", "target/soak", "where the ledger, logs, samples and the verdict go")
	flags.BoolVar(&c.brief, "brief", false, "one fault of each kind, whatever SOAK_SECONDS says; memory is not judged")
	flags.Uint64Var(&c.seed, "seed", 1, "seeds the ledger, the questions and the transactions")
	flags.IntVar(&c.accounts, "accounts", 2_000, "accounts that the ledger may have")
	flags.IntVar(&c.transactions, "transactions", 40_000, "transactions of the ledger")
	flags.IntVar(&c.postRate, "post-rate", 10, "transactions a second posted meanwhile: few, so that the ledger hardly grows")
	flags.IntVar(&c.callers, "callers", 48, "callers, each with one request in flight")
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
			add("--%s %s: is no file; build it first (`make soak` does)", name, path)
		}
	}
	for name, n := range map[string]int{
		"accounts": c.accounts, "transactions": c.transactions, "post-rate": c.postRate, "callers": c.callers,
	} {
		if n < 1 {
			add("--%s: must be at least 1", name)
		}
	}
	seconds := minSeconds
	if text := env(secondsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < minSeconds || n > maxSeconds {
			add("%s=%s: must be a whole number from %d to %d: a shorter run can't judge memory (--brief tries out the rest)",
				secondsVariable, text, minSeconds, maxSeconds)
		}
		seconds = n
	}
	c.lasts = time.Duration(seconds) * time.Second
	if len(mistakes) > 0 {
		return c, errors.Join(append([]error{errUsage}, mistakes...)...)
	}
	return c, nil
}
