// Soak serves a generated ledger with walletd and its sidecar for minutes, under a mix of well-behaved and ill-behaved
// callers, kills and stops the sidecar meanwhile, and judges by metrics that nothing leaks and nothing gets stuck.
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
		fmt.Fprintln(os.Stderr, "soak:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	say := console.New(os.Stdout)
	result, err := newSoak(c, say).run(ctx)
	switch {
	case ctx.Err() != nil:
		say.Line("Interrupted; walletd and its sidecar are stopped. No verdict.")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	case !result.Passed:
		return 1
	}
	return 0
}
