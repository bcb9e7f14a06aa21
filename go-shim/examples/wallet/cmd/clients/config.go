package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

// config holds the settings from the command line.
type config struct {
	command.Ledger
	// tools is the folder into which .ci/clients has put the clients.
	tools string
	// only are the clients to run; all if it is empty.
	only []string
}

const usage = `usage: clients [flags]

Serves a generated ledger through four doors (walletd's and the sidecar's, stock and spliced), asks each by real clients,
and prints what each client saw. Exit code 1: behind a spliced door a client saw something else than behind the stock one.

flags:`

func configure(args []string, _ func(string) string, output io.Writer) (config, error) {
	c := config{Ledger: command.Ledger{Accounts: 500, Transactions: 4_000}}
	var only string
	flags := command.NewFlags("clients", output)
	flags.Usage = func() {
		fmt.Fprintln(output, usage)
		flags.PrintDefaults()
	}
	c.Flags(flags, "where the ledgers, logs and reports go")
	flags.StringVar(&c.tools, "tools", "target/clients/tools", "the folder with the clients, as .ci/clients lays it out")
	flags.StringVar(&only, "only", "", "names of clients, with commas between; all by default")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	return c, flags.Err()
}

// tool returns the path of a client's file, and fails with what to do if it is not there.
func (c config) tool(name string) (string, error) {
	path := filepath.Join(c.tools, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: `make clients` installs it, or says why it can't", err)
	}
	return path, nil
}
