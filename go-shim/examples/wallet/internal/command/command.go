// Package command is the common part of programs that use a generated ledger: how they end, their flags, and the folder
// that they work in.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// These are exit codes. exitUsage is EX_USAGE of sysexits.h.
const (
	exitUsage       = 64
	exitInterrupted = 130
)

// Command is one program. C is the type of its configuration.
type Command[C any] struct {
	Name      string
	Configure func(args []string, env func(string) string, output io.Writer) (C, error)
	// Run returns whether everything was as it should be. An error means that Run cannot tell.
	Run func(ctx context.Context, c C, say *console.Console) (passed bool, err error)
	// Interrupted is printed if SIGINT or SIGTERM ended Run.
	Interrupted string
}

// Main runs the program and returns its exit code.
func (c Command[C]) Main() int {
	config, err := c.Configure(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the handler is removed, so a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	defer stop()
	say := console.New(os.Stdout)
	passed, err := c.Run(ctx, config, say)
	switch {
	case ctx.Err() != nil:
		say.Line("%s", c.Interrupted)
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
		return 1
	case !passed:
		return 1
	}
	return 0
}
