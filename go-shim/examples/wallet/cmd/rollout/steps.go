package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
)

// legacy is how every rollout begins.
func (w *walk) legacy(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	return w.tell(ctx)
}

// compare finds the noise floor, and then compares a part of what is to be compared.
func (w *walk) compare(ctx context.Context) error {
	for i, mode := range []string{"aa", "shadow"} {
		if err := w.set(ctx, mode); err != nil {
			return err
		}
		if err := w.compared(ctx, w.config.compare*(i+1)/200); err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// promote walks the stages by two plans. Go answers a balance in microseconds, which no hop can: the default gate is for the
// others.
func (w *walk) promote(ctx context.Context) error {
	w.callers.rest.Store(int64(time.Second) * int64(w.config.askers) / int64(w.config.rate))
	defer w.callers.rest.Store(0)
	for _, plan := range []struct {
		methods []string
		ratio   string
	}{{ask.Hot[2:], "1.1"}, {ask.Hot[:2], "100"}} {
		state := w.path("plan.json")
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		err := w.control(ctx, "plan", "--modes", w.path("modes.toml"), "--metrics", w.metrics(), "--state", state, "--methods", strings.Join(plan.methods, ","),
			"--hold", fmt.Sprint(time.Duration(w.config.hold)*time.Second), "--min-compared", "200", "--check", "50", "--max-p99-ratio", plan.ratio, "5,25,50,90,100")
		if err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
	}
	return w.all(ctx, "sidecar")
}

// all puts each method into a mode, and lets callers ask.
func (w *walk) all(ctx context.Context, mode string) error {
	for _, method := range ask.Hot {
		if err := w.control(ctx, "set", "--modes", w.path("modes.toml"), "--metrics", w.metrics(), method, mode); err != nil {
			return err
		}
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	return w.tell(ctx)
}

// decommission takes Go's copy of the ledger out of memory, and brings a better one back, while callers ask.
func (w *walk) decommission(ctx context.Context) error {
	for _, model := range []string{readmodel.NameStore, readmodel.NameBest} {
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

// check has the sidecar answer, and Go checks all of it.
func (w *walk) check(ctx context.Context) error {
	if err := w.all(ctx, "reverse-shadow 100%"); err != nil {
		return err
	}
	if err := w.compared(ctx, w.config.compare); err != nil {
		return err
	}
	if err := w.tell(ctx); err != nil {
		return err
	}
	return w.all(ctx, "sidecar")
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
	for _, reason := range slices.Sorted(maps.Keys(now.Reasons)) {
		w.print("# fell back: %s %d", reason, now.Reasons[reason])
	}
	return compared >= uint64(w.config.compare) && compared == equal && w.callers.failed.Count()+w.callers.poster.Failed.Count() == 0 &&
		now.Served[rig.SidecarMode] > 0
}
