package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/machine"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// upToVariable leaves longer histories out of both benches.
const upToVariable = "HISTORY_UP_TO"

// measure runs both benches, one after the other, and writes the report.
func measure(ctx context.Context, c config, say *console.Console) (bool, error) {
	root, err := rig.Root()
	if err != nil {
		return false, err
	}
	out := c.out
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	// The output of the benches has paths of this machine, so it is not for the report's folder.
	logs := filepath.Join(root, "target", "lengths")
	for _, dir := range []string{out, logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, fmt.Errorf("folder of results: %w", err)
		}
	}
	// Criterion keeps earlier figures in its folder. Here it gets a new one.
	criterion, err := os.MkdirTemp("", "lengths-")
	if err != nil {
		return false, fmt.Errorf("criterion's folder: %w", err)
	}
	defer os.RemoveAll(criterion)
	facts := factsOf(ctx, root, c)
	say.Step("the sidecar's bench; its output goes to target/lengths/rust.txt")
	rust := bench{
		dir: root, log: filepath.Join(logs, "rust.txt"), env: []string{"CRITERION_HOME=" + criterion},
		args: []string{"cargo", "bench", "--locked", "-p", "hotpath-wallet", "--bench", "history", "--", "^(statistics|top|series|as-of)/"},
	}
	if err := rust.run(ctx, c); err != nil {
		return false, err
	}
	say.Step("Go's bench; its output goes to target/lengths/go.txt")
	golang := bench{
		dir: filepath.Join(root, "go-shim", "examples"), log: filepath.Join(logs, "go.txt"),
		args: []string{
			"go", "test", "./wallet/readmodel", "-run", "^$", "-bench", "^BenchmarkByLength$", "-benchtime", "300ms",
			"-count", strconv.Itoa(c.samples), "-timeout", "4h",
		},
	}
	if err := golang.run(ctx, c); err != nil {
		return false, err
	}
	rows, err := collect(criterion, rust.log, golang.log)
	if err != nil {
		return false, err
	}
	if err := write(out, report{Facts: facts, Rows: rows}); err != nil {
		return false, err
	}
	for line := range strings.Lines(table(rows)) {
		say.Line("%s", strings.TrimRight(line, "\n"))
	}
	say.Step("all replies are the same bytes; the figures and charts are in %s", c.out)
	return true, nil
}

// bench is one of the two programs.
type bench struct {
	dir, log  string
	args, env []string
}

func (b bench) run(ctx context.Context, c config) error {
	log, err := os.Create(b.log)
	if err != nil {
		return fmt.Errorf("output of %s: %w", b.args[0], err)
	}
	defer log.Close()
	command := exec.CommandContext(ctx, b.args[0], b.args[1:]...)
	command.Dir, command.Stdout, command.Stderr = b.dir, log, log
	command.Env = append(append(os.Environ(), upToVariable+"="+strconv.Itoa(c.upTo)), b.env...)
	// cargo ends its bench itself when it is interrupted.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w; its output is in %s", strings.Join(b.args, " "), err, b.log)
	}
	return nil
}

// facts are what the figures depend on.
type facts struct {
	Date    string          `json:"date"`
	Commit  string          `json:"commit"`
	Rust    string          `json:"rust"`
	UpTo    int             `json:"up_to"`
	Samples int             `json:"go_samples"`
	Machine machine.Machine `json:"machine"`
}

func factsOf(ctx context.Context, root string, c config) facts {
	return facts{
		Date: time.Now().UTC().Format(time.DateOnly), Commit: machine.Commit(ctx, root),
		Rust: machine.Said(ctx, root, "rustc", "--version"), UpTo: c.upTo, Samples: c.samples, Machine: machine.Alone(),
	}
}

// write writes everything into a folder.
func write(out string, r report) error {
	files := map[string]func(io.Writer) error{
		"lengths.csv": r.csv, "lengths.json": r.json,
	}
	for _, window := range windows {
		files[window.name+".svg"] = func(to io.Writer) error {
			_, err := io.WriteString(to, chart(window, r.Rows))
			return err
		}
	}
	for name, content := range files {
		file, err := os.Create(filepath.Join(out, name))
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := content(file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}
