package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/doors"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

const (
	// questions is how many each client asks.
	questions = 300
	// surveyed is how many transactions are read to learn what can be asked.
	surveyed = 300
)

// client is one program that calls.
type client struct {
	name, what string
	// see calls a door, and returns what the client saw.
	see func(ctx context.Context, r *run, d *doors.Door) (sight, error)
}

// sight is what a client saw of a door. Two doors are alike if all lines are.
type sight struct {
	// short is what the table says.
	short string
	lines []string
	// differ, if set, finds what is worse than with the stock door. Without it, any line that differs is.
	differ func(stock, spliced sight) []string
}

// run is one run of the program.
type run struct {
	config config
	say    *console.Console
	doors  []*doors.Door
	// file has the questions, and list too.
	file string
	list []ask.Question
	// account is the busiest.
	account string
}

func newRun(c config, say *console.Console) *run { return &run{config: c, say: say} }

var errUnknownClient = errors.New("no such client")

func (r *run) run(ctx context.Context) (passed bool, err error) {
	clients := all()
	for _, name := range r.config.only {
		if !slices.ContainsFunc(clients, func(c client) bool { return c.name == name }) {
			return false, fmt.Errorf("--only %s: %w", name, errUnknownClient)
		}
	}
	if err := r.config.Clear(); err != nil {
		return false, err
	}
	r.say.Passing("generating a ledger …")
	if err := r.config.Generate(ctx); err != nil {
		return false, err
	}
	defer r.stop()
	if err := r.open(); err != nil {
		return false, err
	}
	if err := r.prepare(ctx); err != nil {
		return false, err
	}
	var table table
	for _, c := range clients {
		if len(r.config.only) > 0 && !slices.Contains(r.config.only, c.name) {
			continue
		}
		r.say.Passing("%s: %s …", c.name, c.what)
		seen := make([]sight, len(r.doors))
		for i, d := range r.doors {
			if seen[i], err = c.see(ctx, r, d); err != nil {
				return false, fmt.Errorf("%s (%s), door %s: %w", c.name, c.what, d.Kind, err)
			}
		}
		table.add(c, seen)
	}
	r.say.Line("%s", table.text())
	return len(table.differences) == 0, nil
}

// open opens all doors, each with a copy of the ledger.
func (r *run) open() error {
	for _, kind := range doors.Kinds {
		// Short, because the path of a socket may have only about 100 bytes.
		dir, err := os.MkdirTemp("", "clients-")
		if err != nil {
			return fmt.Errorf("folder of a door: %w", err)
		}
		r.say.Passing("opening a door: %s …", kind)
		d, err := doors.Open(doors.Spec{
			Walletd: r.config.Walletd, Hotpathd: r.config.Hotpathd, Dir: dir, Ledger: r.config.Path(command.LedgerFile),
		}, kind)
		if err != nil {
			return fmt.Errorf("%s: %w (logs in %s)", kind, err, dir)
		}
		r.doors = append(r.doors, d)
	}
	return nil
}

func (r *run) stop() {
	for _, d := range r.doors {
		d.Stop()
		_ = os.RemoveAll(d.Dir)
	}
}

// prepare writes the questions, one a line: the method's path and the message in hex.
func (r *run) prepare(ctx context.Context) error {
	random := rand.New(rand.NewPCG(r.config.Seed, 12))
	shim, err := r.doors[0].Walletd.Shim(ctx)
	if err != nil {
		return err
	}
	m, err := mix.Survey(ctx, r.doors[0].Wallet, shim.Head, surveyed, random)
	if err != nil {
		return err
	}
	r.account = m.Busiest(1)[0].Account
	var text strings.Builder
	for range questions {
		q := m.Any(random)
		r.list = append(r.list, q)
		fmt.Fprintf(&text, "%s\t%x\n", ask.Hot[q.Method], q.Request)
	}
	if r.file, err = filepath.Abs(r.config.Path("questions.tsv")); err != nil {
		return fmt.Errorf("questions: %w", err)
	}
	if err := os.WriteFile(r.file, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("questions: %w", err)
	}
	return nil
}

// all are the clients, in the order of the table.
func all() []client {
	return slices.Concat(answerers(), []client{
		{"ghz", "closed loop, 50 callers", ghz("--concurrency", "50", "--total", "5000", "--connections", "4")},
		{"ghz", "open loop, 1,000 a second", ghz("--async", "--rps", "1000", "--total", "3000", "--connections", "4")},
		{"h2load", "4 connections, 32 in flight each", h2load("-n", "20000", "-c", "4", "-m", "32")},
		{"h2load", "1 connection, 1 in flight", h2load("-n", "2000", "-c", "1", "-m", "1")},
		{"h2spec", "conformance with HTTP/2 and HPACK", h2spec},
	})
}
