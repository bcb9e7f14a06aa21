package main

import (
	"context"
	"fmt"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// legacy is how every rollout begins.
func (w *walk) legacy(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	return w.tell(ctx)
}

// compare finds the noise floor, and then compares most of what is to be compared.
func (w *walk) compare(ctx context.Context) error {
	for mode, n := range []int{w.config.compare / 20, w.config.compare} {
		if err := w.set(ctx, []string{"aa", "shadow"}[mode]); err != nil {
			return err
		}
		if err := w.compared(ctx, n); err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// promote walks the stages by a plan, and then forwards all without comparing.
func (w *walk) promote(ctx context.Context) error {
	err := w.control(ctx, "plan", "--modes", w.path("modes.toml"), "--metrics", w.metrics(), "--state", w.path("plan.json"),
		"--hold", fmt.Sprint(time.Duration(w.config.hold)*time.Second), "--max-mismatch", "0", "--max-p99-ratio", "20", "5,25,50,90,100")
	if err != nil {
		return err
	}
	if err := w.tell(ctx); err != nil {
		return err
	}
	for _, method := range ask.Hot {
		if err := w.control(ctx, "set", "--modes", w.path("modes.toml"), "--metrics", w.metrics(), method, "sidecar"); err != nil {
			return err
		}
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	return w.tell(ctx)
}

// decommission switches Go's read model off and on again, while callers ask.
func (w *walk) decommission(ctx context.Context) error {
	for _, model := range []string{"store", w.config.readModel} {
		if err := w.control(ctx, "read-model", "--admin", "unix:"+w.path("admin.sock"), model); err != nil {
			return err
		}
		if err := pause(ctx, settle); err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rollback takes all back, and forwards again.
func (w *walk) rollback(ctx context.Context) error {
	for _, command := range []string{"rollback", "resume"} {
		if err := w.control(ctx, command, "--kill-file", w.path("kill"), "--metrics", w.metrics()); err != nil {
			return err
		}
		if err := pause(ctx, settle); err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
	}
	return w.control(ctx, "explain", w.path("evidence"))
}

// finish judges the run.
func (w *walk) finish() bool {
	w.callers.stop()
	if w.walletd == nil {
		return false
	}
	now, err := w.walletd.Shim(context.Background())
	if err != nil {
		w.print("# the end cannot be judged: %v", err)
		return false
	}
	compared, equal := total(now.Compared), now.Compared["equal"]
	w.print("# in all: %s compared, %s equal, %s requests of callers, %d failed, %s transactions posted, %d failed, in %s", console.Count(compared),
		console.Count(equal), console.Count(w.callers.asked.Load()), w.callers.failed.Count(), console.Count(w.callers.poster.Posted.Load()),
		w.callers.poster.Failed.Count(), time.Since(w.began).Round(time.Second))
	for _, message := range append(w.callers.failed.Messages(), w.callers.poster.Failed.Messages()...) {
		w.print("# failed: %s", message)
	}
	for reason, n := range now.Reasons {
		w.say.Line("# fell back: %s %d", reason, n)
	}
	return compared >= uint64(w.config.compare) && compared == equal && w.callers.failed.Count()+w.callers.poster.Failed.Count() == 0 &&
		now.Served[rig.SidecarMode] > 0
}
