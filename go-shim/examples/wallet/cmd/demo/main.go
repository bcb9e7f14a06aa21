// Demo shows the whole of hotpath on a generated ledger: it serves it with walletd and its sidecar, asks the same
// questions of both, compares the answers byte for byte, kills the sidecar under load, and reports.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// Exit codes; the first two are those of sysexits.
const (
	exitUsage       = 64
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	c, err := configure(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	say := console.New(os.Stdout)
	report, err := newDemo(c, say).run(ctx)
	switch {
	case ctx.Err() != nil:
		say.Line("Interrupted; walletd and its sidecar are stopped.")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	case !report.Passed:
		return 1
	}
	return 0
}
