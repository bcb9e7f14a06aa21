// Command hotpathctl changes who answers hot methods, and upgrades sidecars. It needs the files that the service was told to
// obey, and nothing else: no running sidecar, and no address of the service. Only upgrade and read-model, which change no
// file, ask the service itself.
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
  plan      STAGES --modes FILE --metrics URL[,URL...] --state FILE [flags]
            --plan FILE --state FILE            raise the share of the sidecar stage by stage, while all gates hold
            --state FILE --resume | --status    go on with a plan that was interrupted or stopped, or look at it
  upgrade   --admin URL|unix:PATH               have the sidecar replaced by its program on disk, without a gap
  read-model  --admin URL|unix:PATH [MODEL]     change what Go answers from, while the service serves, or print it

FILE is what the service has as Config.ModesFile and Config.KillFile (walletd: --modes and --kill-file), FOLDER what it
has as Config.Comparison.Folder (walletd: --evidence). docs/rollout.md of hotpath explains the modes.

With --metrics URL, the address of the service's Prometheus metrics, set, rollback, resume and lift wait until the service
shows that it has obeyed, for at most --within (default 5s). Without it, hotpath_shim_killed,
hotpath_shim_forwarded_percent and hotpath_shim_demoted say what the service does.

plan 5,25,50,90,100 sends 5% of the requests to the sidecar, then 25%, and so on, and compares some of the answers. A
stage passes after --hold, if enough requests were compared and no gate failed. Flags of plan, with their defaults:

  --methods M,M            the methods; without it, all hot methods that the metrics show
  --hold 10m               how long each stage is held, with all replicas in it (0s to 168h)
  --min-compared 1000      requests that must be compared in each stage; a plan waits for them
  --max-mismatch 0         gate: real mismatches in a stage
  --max-p99-ratio 1.1      gate: the sidecar's p99 over Go's, for the same requests
  --max-fallback-share 0.01  gate: share of forwarded requests that Go had to answer
  --check 10               percentage of requests that are compared
  --on-failure back        back: the methods go to shadow (Go answers, and requests are still compared); stop: they stay
  --unreachable-for 1m     how long a replica may not answer, or not be in the stage, before the plan fails (1s to 1h)
  --poll 1s                how often the metrics are read
  --state FILE             where the plan remembers how far it is; FILE.lock beside it keeps a second hotpathctl away
  --plan FILE              a TOML file with the settings above as keys, and [[replica]] tables with modes and metrics

The kill file, and a method that the service itself has taken from the sidecar, end a plan as well. A plan that somebody
interrupts leaves the methods in their stage.

upgrade waits until the service has replaced its sidecars, or has given that up; it goes on if hotpathctl ends. The
address is that of the service's admin pages (walletd: --admin, or unix: and the path of --admin-socket).

read-model store takes Go's copy of the ledger out of memory (walletd), and read-model legacy brings it back. It asks
the service's admin API (package shimadmin; walletd: --admin and --admin-socket), prints the progress, and waits until
the model is in force, for at most --within (default 1h); the service goes on when it stops waiting. A model with which
Go could not stand in for the sidecar is refused unless the sidecar answers everything: --force takes it all the same.
To give a change up, ask for the model that is in force. A restart begins with the model of the service's own settings.

Exit codes: 0 done, 64 a mistake in the command, 65 a gate of the plan or an upgrade failed, or the service stays with
its read model, 66 a file cannot be read or changed, 75 the service did not answer, or did not show in time that it has
obeyed, or the command was interrupted.
`

// Exit codes, as in sysexits.h.
const (
	exitUsage   = 64
	exitGate    = 65
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
	evidence, admin      string
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
	if name == "plan" {
		return newPlanner(out).run(ctx, args[1:])
	}
	if name == "read-model" {
		return runReadModel(ctx, args[1:], out)
	}
	commands := map[string]func(*command, context.Context) error{
		"show": (*command).show, "set": (*command).set, "rollback": (*command).rollback, "resume": (*command).resume,
		"explain": (*command).explain, "lift": (*command).lift, "upgrade": (*command).upgrade,
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
	flags.StringVar(&c.admin, "admin", "", "")
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
