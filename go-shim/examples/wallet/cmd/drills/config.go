package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// config holds the settings from the command line.
type config struct {
	command.Ledger
	// faulty, hotpathctl and faketime are programs that some drills need. The last one prints the path of libfaketime.
	faulty, hotpathctl, faketime string
	drills                       []drill
	doors                        []rig.Door
	short, list                  bool
	// lasts is how long each drill has load, without the waits for its fault to show and to be over.
	lasts time.Duration
	// within bounds each wait.
	within time.Duration
}

// longestWait bounds a wait. The slowest to come back is a sidecar that hangs: after 15 s a ping has no answer, after another 15 s
// without a Hello it counts as hung, and it takes 5 s to end.
const longestWait = 2 * time.Minute

const usage = `usage: drills [NAME[,NAME...]] [flags]

Breaks a walletd and its sidecar on purpose, one fault at a time, while callers post and read. A drill fails if a caller
saw an error that Go alone would not have given or a wrong answer, if nothing showed the fault, or if it was not over in
time. The table goes to report.txt, all of it to report.json, logs to a folder for each drill and front door. NAME picks
drills; --list prints them.

flags:`

// bothDoors is the value of --door for all front doors.
const bothDoors = "both"

// All answers are kept in memory until they are compared, so a drill must not last for hours.
const (
	usualSeconds, shortSeconds = 12, 2
	leastSeconds, mostSeconds  = 1, 300
)

func configure(args []string, _ func(string) string, output io.Writer) (config, error) {
	// The ledger is small, so that a sidecar that starts again is back soon, and Go can be asked everything again.
	c := config{Ledger: command.Ledger{Accounts: 400, Transactions: 4_000}, within: longestWait}
	flags := command.NewFlags("drills", output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	c.Flags(flags, "where the ledgers, logs and the report go")
	flags.Built(&c.faulty, "faulty", "target/bin/faulty-sidecar")
	flags.Built(&c.hotpathctl, "hotpathctl", "target/bin/hotpathctl")
	var door string
	var seconds int
	flags.StringVar(&c.faketime, "faketime", ".ci/faketime", "the program that prints the path of libfaketime, for the drill clock")
	flags.Choice(&door, "door", bothDoors, []string{string(rig.Stock), string(rig.Spliced), bothDoors}, "front doors, at the same time")
	flags.BoolVar(&c.short, "short", false, "only drills that are over soon, with 2 seconds of load each: for CI")
	flags.BoolVar(&c.list, "list", false, "print the drills and end")
	flags.Between(&seconds, "seconds", usualSeconds, leastSeconds, mostSeconds, "seconds of load in each drill")
	names, args := operand(args)
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if c.list {
		return c, nil
	}
	if c.short && seconds == usualSeconds {
		seconds = shortSeconds
	}
	c.lasts = time.Duration(seconds) * time.Second
	c.doors = rig.Doors()
	if door != bothDoors {
		c.doors = []rig.Door{rig.Door(door)}
	}
	var unknown error
	c.drills, unknown = pick(drills(), names, c.short)
	return c, errors.Join(flags.Err(), unknown)
}

// operand takes the names of drills off the front of a command line.
func operand(args []string) (names string, rest []string) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[0], args[1:]
	}
	return "", args
}

// pick returns the drills with these names, in the order of the list. Without names it returns all, or the short ones.
func pick(all []drill, names string, short bool) ([]drill, error) {
	if names == "" {
		return slices.DeleteFunc(slices.Clone(all), func(d drill) bool { return short && !d.short }), nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(d drill) bool { return d.name == name }) {
			return nil, fmt.Errorf("%w: there is no drill %q; --list prints them", command.ErrUsage, name)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(d drill) bool { return !slices.Contains(wanted, d.name) }), nil
}
