package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

// These bounds keep the memory of this program below 2 GB: an event takes some 110 bytes.
const (
	// memoryLimit is from where on Go collects garbage more often.
	memoryLimit                = 1_500_000_000
	fewestEntries, mostEntries = 1_000, 5_000_000
	mostCommits                = 2_000_000
	// threadsEnd is longer than hotpathd keeps an idle thread for expensive questions, 10 s.
	threadsEnd = 12 * time.Second
	// defaultBusy leaves it to live to reach the merge of the whole history of the longest account, which is due some
	// 990,000 entries after the first ledger of the default size.
	defaultBusy = 900_000
)

// These are the phases. Without fill there is nothing to ask about, so the ledger is filled in any case.
const (
	fill    = "fill"
	busy    = "busy"
	live    = "live"
	churn   = "churn"
	offload = "offload"
)

func allPhases() []string { return []string{fill, busy, live, churn, offload} }

// config holds the settings from the command line.
type config struct {
	hotpathd, out string
	seed          uint64
	phases        []string
	// entries are those of the first ledger, busyEntries those that come while readers ask.
	entries, busyEntries int
	// rate is the number of transactions a second when the ledger is live, for seconds.
	rate, seconds int
	// readers ask one question after the other when the ledger is busy, and readRate a second in all when it is live.
	readers, readRate int
	// every says which commits are waited for: one in so many.
	every int
	// rounds of expensive questions are asked, with this many questions each; idle is how long nothing is asked after a round.
	rounds, questions int
	idle              time.Duration
	// retainMS is how long hotpathd keeps replaced versions, in milliseconds.
	retainMS int
	// settle is how long hotpathd's memory must stay the same before it is read.
	settle time.Duration
}

const usage = `usage: ingest [flags]

Starts a hotpathd, feeds it, and measures in phases:
  fill     the first ledger, all of it offered at once
  busy     more entries as fast as they are taken, while readers ask without a pause
  live     transactions at a steady rate, and how long it takes until a reader sees one
  churn    resident memory while live runs, and at rest before and after
  offload  memory at rest after each of some rounds of expensive questions
The figures go to ingest.json, and those of single commits to commits.csv. A slow machine is no error. Exit code 1: the feed
was lost, an event or a question was refused, or an answer was wrong.

flags:`

var errPhases = errors.New("must be one or more of " + strings.Join(allPhases(), ", "))

func configure(args []string, _ func(string) string, output io.Writer) (config, error) {
	c := config{phases: allPhases(), settle: 3 * time.Second, idle: threadsEnd}
	flags := command.NewFlags("ingest", output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	flags.Built(&c.hotpathd, "hotpathd", "target/bin/hotpathd")
	flags.StringVar(&c.out, "out", "target/ingest", "the folder for figures and logs")
	flags.Uint64Var(&c.seed, "seed", 1, "seeds the ledger and the questions")
	flags.Func("phases", "`phases` to report, with commas between them (default "+strings.Join(allPhases(), ",")+
		"); churn needs live, and fill always runs", c.readPhases)
	flags.Between(&c.entries, "entries", 4_140_000, fewestEntries, mostEntries, "entries of the first ledger")
	flags.Between(&c.busyEntries, "busy-entries", defaultBusy, fewestEntries, mostEntries, "entries while readers ask without a pause")
	flags.Between(&c.rate, "rate", 5_000, 1, 100_000, "transactions a second, in live")
	flags.Between(&c.seconds, "seconds", 120, 2, 3_600, "how long live lasts")
	flags.Between(&c.readers, "readers", 4, 1, 256, "readers, each with a connection and one question in flight")
	flags.Between(&c.readRate, "read-rate", 200, 1, 100_000, "questions a second of all readers together, in live")
	flags.Between(&c.every, "sample-every", 50, 1, 1_000_000, "in live a reader waits for one commit in so many")
	flags.Between(&c.rounds, "rounds", 6, 2, 100, "rounds of expensive questions, in offload")
	flags.Between(&c.questions, "round-questions", 10_000, 32, 1_000_000, "questions of one round")
	flags.Between(&c.retainMS, "retain-ms", 30_000, 0, 600_000, "hotpathd's setting; memory is at rest only after so long")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if err := flags.Err(); err != nil {
		return c, err
	}
	if c.runs(live) && c.rate*c.seconds > mostCommits {
		return c, fmt.Errorf("%w: --rate %d for --seconds %d: must be at most %d transactions together, which are made before",
			command.ErrUsage, c.rate, c.seconds, mostCommits)
	}
	return c, nil
}

func (c *config) readPhases(text string) error {
	c.phases = strings.Split(text, ",")
	for _, phase := range c.phases {
		if !slices.Contains(allPhases(), phase) {
			return errPhases
		}
	}
	if c.runs(churn) && !c.runs(live) {
		return errors.New("churn needs live: it shows the memory while live runs")
	}
	return nil
}

func (c *config) runs(phase string) bool { return slices.Contains(c.phases, phase) }
