package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	// startLimit and stepLimit are reached only if something is broken.
	startLimit = 10 * time.Minute
	stepLimit  = 2 * time.Hour
	// settle is how long callers ask in a mode that compares nothing.
	settle = 5 * time.Second
)

// walk is one run.
type walk struct {
	config     config
	say        *console.Console
	walletd    *rig.Walletd
	callers    callers
	transcript bytes.Buffer
	before     rig.Shim
	askedAt    int64
	began      time.Time
}

func newWalk(c config, say *console.Console) *walk {
	return &walk{config: c, say: say, began: time.Now()}
}

func (w *walk) path(name string) string { return filepath.Join(w.config.out, name) }

// run goes all the way. It returns whether all that was compared was equal, and no caller's request failed.
func (w *walk) run(ctx context.Context) (bool, error) {
	if err := w.prepare(); err != nil {
		return false, err
	}
	defer func() {
		w.callers.stop()
		if w.walletd != nil {
			w.walletd.Stop(time.Minute)
		}
	}()
	steps := []func(context.Context) error{w.serve, w.legacy, w.compare, w.promote, w.decommission, w.check, w.rollback}
	var err error
	for _, step := range steps {
		if err = errors.Join(step(ctx), ctx.Err()); err != nil {
			break
		}
	}
	passed := w.finish()
	return passed, errors.Join(err, os.WriteFile(w.path("transcript.txt"), w.transcript.Bytes(), 0o644))
}

func (w *walk) prepare() error {
	for _, old := range []string{"evidence", "kill", "plan.json", "plan.json.lock", "transcript.txt"} {
		if err := os.RemoveAll(w.path(old)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(w.config.out, 0o755); err != nil {
		return err
	}
	return rig.WriteModes(w.path("modes.toml"), rig.Legacy)
}

func (w *walk) serve(ctx context.Context) error {
	args := []string{"--kill-file", w.path("kill"), "--evidence", w.path("evidence"), "--admin-socket", w.path("admin.sock")}
	var err error
	w.walletd, err = rig.StartWalletd(rig.WalletdSpec{
		Bin: w.config.walletd, Dir: w.config.out, DB: w.config.db, Sidecar: rig.Supervise, SidecarBin: w.config.hotpathd,
		Socket: w.path("hotpathd.sock"), Modes: w.path("modes.toml"), Door: rig.Door(w.config.door), Args: args, StartWithin: startLimit,
	})
	if err != nil {
		return err
	}
	ready, err := w.walletd.AwaitShim("the sidecar has loaded the ledger", startLimit, func(now rig.Shim) bool {
		return ctx.Err() != nil || now.Head > 0 && now.CaughtUp()
	})
	if err != nil {
		return err
	}
	accounts, entries, err := w.walletd.Size(ctx)
	if err != nil {
		return err
	}
	w.print("$ walletd serve --db %s --sidecar supervise --front-door %s \\\n    --modes modes.toml --kill-file kill --evidence evidence --admin-socket admin.sock",
		filepath.Base(w.config.db), w.config.door)
	w.print("# %s accounts, %s entries, position %s; %d callers ask from here on, and %d transactions are posted a second\n", console.Count(accounts),
		console.Count(entries), console.Count(ready.Head), w.config.askers, time.Second/postEvery)
	w.before = ready
	return w.callers.start(ctx, w.walletd.GRPC, ready.Head, w.config.askers)
}

// print writes to the terminal and the transcript.
func (w *walk) print(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	w.say.Line("%s", text)
	fmt.Fprintln(&w.transcript, text)
}

// control runs hotpathctl as an operator would, and shows what it says.
func (w *walk) control(ctx context.Context, args ...string) error {
	shown := make([]string, len(args))
	for i, arg := range args {
		shown[i] = strings.ReplaceAll(arg, w.config.out+"/", "")
		if strings.ContainsAny(shown[i], " %") {
			shown[i] = `"` + shown[i] + `"`
		}
	}
	w.print("$ hotpathctl %s", strings.ReplaceAll(strings.Join(shown, " "), w.walletd.Admin, "127.0.0.1:7451"))
	command := exec.CommandContext(ctx, w.config.hotpathctl, args...)
	output, err := command.CombinedOutput()
	text := strings.ReplaceAll(strings.ReplaceAll(string(output), w.config.out+"/", ""), w.walletd.Admin, "127.0.0.1:7451")
	w.print("%s", strings.TrimRight(text, "\n"))
	if err != nil {
		return fmt.Errorf("hotpathctl %s: %w", args[0], err)
	}
	return nil
}

func (w *walk) metrics() string { return "http://" + w.walletd.Admin + "/metrics" }

// set puts the default into a mode.
func (w *walk) set(ctx context.Context, mode string) error {
	return w.control(ctx, "set", "--modes", w.path("modes.toml"), "--metrics", w.metrics(), "default", mode)
}

// tell says what happened since the last time.
func (w *walk) tell(ctx context.Context) error {
	now, err := w.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	asked := w.callers.asked.Load()
	since := func(now, before map[string]uint64) string {
		var parts []string
		for _, name := range []string{"equal", "metadata", "moved", "stale", "real"} {
			if n := now[name] - before[name]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s %s", console.Count(n), name))
			}
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	}
	w.print("# %s answered by Go, %s by the sidecar; compared: %s; not compared: %s; callers asked %s, %d failed\n",
		console.Count(now.Served[rig.Legacy]-w.before.Served[rig.Legacy]), console.Count(now.Served[rig.SidecarMode]-w.before.Served[rig.SidecarMode]),
		since(now.Compared, w.before.Compared), console.Count(total(now.Uncompared)-total(w.before.Uncompared)),
		console.Count(asked-w.askedAt), w.callers.failed.Count())
	w.before, w.askedAt = now, asked
	return nil
}

func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// pause lets callers ask.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// compared waits until so many requests were compared since the start.
func (w *walk) compared(ctx context.Context, n int) error {
	_, err := w.walletd.AwaitShim(fmt.Sprintf("%d comparisons", n), stepLimit, func(now rig.Shim) bool {
		w.say.Passing("%s compared", console.Count(total(now.Compared)))
		return ctx.Err() != nil || total(now.Compared) >= uint64(n)
	})
	return err
}
