// Walletd is a double-entry wallet: a gRPC service over a durable ledger.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// version is set at link time: -ldflags "-X main.version=1.2.3".
var version = "dev"

// command is one of walletd's commands.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, out streams) error
}

// streams holds the standard streams of a command. Results go to stdout, everything else to stderr.
type streams struct {
	stdout, stderr io.Writer
	// stdin has no content that matters. serve waits for its end.
	stdin io.Reader
}

func commands() []command {
	return []command{
		{"serve", "answer the wallet API over gRPC", runServe},
		{"import", "post transactions from CSV files", runImport},
		{"generate", "post a made-up ledger, the same for the same seed", runGenerate},
		{"ids", "list who a ledger is about, busiest first", runIDs},
		{"version", "print the version", runVersion},
		{"help", "explain a command", runHelp},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the handler is removed, so a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], streams{stdout: os.Stdout, stderr: os.Stderr, stdin: os.Stdin})
	stop()
	if errors.Is(err, errHelp) {
		err = nil
	}
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "walletd: interrupted")
	default:
		fmt.Fprintln(os.Stderr, "walletd:", err)
	}
	os.Exit(exitCode(err))
}

func run(ctx context.Context, args []string, out streams) error {
	if len(args) == 0 {
		return usageError("a command is missing\n\n" + overview())
	}
	name := args[0]
	switch name {
	case "--help", "-help", "-h":
		name = "help"
	case "--version", "-version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, args[1:], out)
		}
	}
	return usageError(fmt.Sprintf("there is no command %q\n\n%s", args[0], overview()))
}

func runVersion(_ context.Context, args []string, out streams) error {
	f := newFlags("version", "usage: walletd version", false)
	if _, err := f.parse(args, out); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(out.stdout, "walletd", versionText(info))
	return err
}

// versionText returns the version, followed by the versions of the module, of Go and of the code, as far as the build
// recorded them.
func versionText(info *debug.BuildInfo) string {
	text := version
	if info == nil {
		return text
	}
	known := make(map[string]string)
	for _, setting := range info.Settings {
		known[setting.Key] = setting.Value
	}
	details := []string{info.GoVersion}
	if module := info.Main.Version; module != "" && module != "(devel)" {
		details = append([]string{module}, details...)
	}
	if revision := known["vcs.revision"]; revision != "" {
		if known["vcs.modified"] == "true" {
			revision += " with changes"
		}
		details = append(details, revision)
	}
	return text + " (" + strings.Join(details, ", ") + ")"
}

func runHelp(ctx context.Context, args []string, out streams) error {
	if len(args) == 0 {
		_, err := fmt.Fprintln(out.stdout, overview())
		return err
	}
	if args[0] == "help" {
		return runHelp(ctx, nil, out)
	}
	return run(ctx, []string{args[0], "--help"}, out)
}

func overview() string {
	var b strings.Builder
	b.WriteString("usage: walletd COMMAND [flags]\n\ncommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.summary)
	}
	b.WriteString("\n\"walletd help COMMAND\" explains one. A first try:\n" +
		"  walletd generate --db wallet.db --seed 1 --accounts 1000 --transactions 10000\n" +
		"  walletd serve --db wallet.db")
	return b.String()
}
