// Command hotpathctl changes who answers hot methods. It needs the files that the service was told to obey, and nothing
// else: no running sidecar, and no address of the service.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const usage = `usage: hotpathctl COMMAND [flags]

  show      --modes FILE [--kill-file FILE]     print the modes, and whether the kill file is there
  set       --modes FILE METHOD|default MODE    change one mode: legacy, "shadow N%", "canary N%", sidecar and others
  rollback  --kill-file FILE                    Go answers all hot methods at once, whatever the modes are
  resume    --kill-file FILE                    take a rollback back: the modes count again
  explain   CAPTURE|FOLDER                      print a difference that the service has kept, or what its folder holds
  lift      --evidence FOLDER METHOD            take a demotion back: the method's mode counts again

FILE is what the service has as Config.ModesFile and Config.KillFile (walletd: --modes and --kill-file), FOLDER what it
has as Config.Comparison.Folder (walletd: --evidence). docs/rollout.md of hotpath explains the modes.

With --metrics URL, the address of the service's Prometheus metrics, set, rollback, resume and lift wait until the service
shows that it has obeyed, for at most --within (default 5s). Without it, hotpath_shim_killed,
hotpath_shim_forwarded_percent and hotpath_shim_demoted say what the service does.

Exit codes: 0 done, 64 a mistake in the command, 66 a file cannot be read or changed, 75 the file is changed, but the
service did not show in time that it has obeyed.
`

// Exit codes, as in sysexits.h.
const (
	exitUsage   = 64
	exitFile    = 66
	exitNotSeen = 75
)

// failure is an error with an exit code.
type failure struct {
	code int
	error
}

func (f failure) Unwrap() error { return f.error }

func mistake(format string, a ...any) error { return failure{exitUsage, fmt.Errorf(format, a...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "hotpathctl:", err)
	default:
		return
	}
	var f failure
	if errors.As(err, &f) {
		os.Exit(f.code)
	}
	os.Exit(1)
}

// command is one call of this program.
type command struct {
	out                  io.Writer
	modes, kill, metrics string
	evidence             string
	within               time.Duration
	args                 []string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return mistake("name a command\n\n%s", usage)
	}
	name := args[0]
	if slices.Contains([]string{"help", "-h", "--help"}, name) {
		fmt.Fprint(out, usage)
		return flag.ErrHelp
	}
	commands := map[string]func(*command, context.Context) error{
		"show": (*command).show, "set": (*command).set, "rollback": (*command).rollback, "resume": (*command).resume,
		"explain": (*command).explain, "lift": (*command).lift,
	}
	do, known := commands[name]
	if !known {
		return mistake("there is no command %q\n\n%s", name, usage)
	}
	c := &command{out: out}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.modes, "modes", "", "")
	flags.StringVar(&c.kill, "kill-file", "", "")
	flags.StringVar(&c.evidence, "evidence", "", "")
	flags.StringVar(&c.metrics, "metrics", "", "")
	flags.DurationVar(&c.within, "within", 5*time.Second, "")
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return err
	case err != nil:
		return mistake("%w", err)
	case c.within <= 0 || c.within > time.Hour:
		return mistake("--within %v: must be above 0 and at most 1h", c.within)
	}
	c.args = flags.Args()
	if most := map[string]int{"set": 2, "explain": 1, "lift": 1}[name]; len(c.args) > most {
		return mistake("unexpected argument %q; flags come before arguments", c.args[most])
	}
	return do(c, ctx)
}
