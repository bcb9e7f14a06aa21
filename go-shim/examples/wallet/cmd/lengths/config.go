package main

import (
	"fmt"
	"io"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

const (
	shortest, longest = 10, 1_000_000
	mostSamples       = 20
)

// config holds the settings from the command line.
type config struct {
	out           string
	upTo, samples int
}

const usage = `usage: lengths [flags]

Runs the sidecar's bench "history" and then Go's BenchmarkByLength, and writes lengths.csv, lengths.json, years.svg and
month.svg. With the defaults that takes about a quarter of an hour. Nothing else should run meanwhile. Exit code 1: a bench
failed, or two of its ways gave different replies.

flags:`

func configure(args []string, _ func(string) string, output io.Writer) (config, error) {
	var c config
	flags := command.NewFlags("lengths", output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&c.out, "out", "target/lengths", "the folder for figures and charts; relative to the repository")
	flags.Count(&c.upTo, "up-to", longest, fmt.Sprintf("the longest history, %d to %d", shortest, longest))
	flags.Count(&c.samples, "samples", 3, fmt.Sprintf("how often Go measures each figure, 1 to %d", mostSamples))
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if err := flags.Err(); err != nil {
		return c, err
	}
	if c.upTo < shortest || c.upTo > longest {
		return c, fmt.Errorf("%w: --up-to %d: must be %d to %d", command.ErrUsage, c.upTo, shortest, longest)
	}
	if c.samples > mostSamples {
		return c, fmt.Errorf("%w: --samples %d: must be at most %d", command.ErrUsage, c.samples, mostSamples)
	}
	return c, nil
}
