package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// kill reports the effects of one SIGKILL to the sidecar under load.
type kill struct {
	Door rig.Door `json:"front_door"`
	Pid  int      `json:"pid"`
	// These times start at the signal. StartedAgainMs ends when there is a new process, CaughtUpMs when it is ready and
	// has every transaction from before the kill, and ServingMs at its first answers.
	StartedAgainMs int64 `json:"started_again_ms"`
	CaughtUpMs     int64 `json:"caught_up_ms"`
	ServingMs      int64 `json:"serving_ms"`
	// Asked and Failed count the questions around the kill. AnsweredByGo counts those that Go answered.
	Asked        int    `json:"asked"`
	Failed       int    `json:"failed"`
	AnsweredByGo uint64 `json:"answered_by_go"`
	// Refused counts those of the failed ones that were RESOURCE_EXHAUSTED, because too many reads of the database waited.
	Refused uint64 `json:"refused"`
	// TakenOverMs ends when the other one of two sidecars is asked. It is -1 if there is only one.
	TakenOverMs int64 `json:"taken_over_ms"`
	// Reloaded is the position that the new process had when it had caught up.
	Reloaded          uint64 `json:"reloaded_position"`
	ComparedAfter     int    `json:"compared_after"`
	DifferentAfter    int    `json:"different_after"`
	took              time.Duration
	failedBeforeStart int
}

var errNoSidecarToKill = errors.New("no sidecar process under walletd: nothing to kill")

// kill ends the sidecar with SIGKILL while questions are asked, waits until it is back, and compares again.
func (d *demo) kill(ctx context.Context) error {
	start := time.Now()
	if err := d.walletd.Switch(rig.SidecarMode, modeWithin); err != nil {
		return err
	}
	pid, err := d.walletd.AskedPid(ctx)
	if err != nil || pid == 0 {
		return errors.Join(errNoSidecarToKill, err)
	}
	refused, err := d.walletd.Refused(ctx)
	if err != nil {
		return err
	}
	k := kill{
		Door: d.results.door, Pid: pid, TakenOverMs: -1, failedBeforeStart: d.traffic.failed.Count() + d.poster.Failed.Count(),
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var got trafficResult
	group.Go(func() { got = d.traffic.ask(asking, fewAskers, mixed, 0) })
	pause(ctx, d.plan.beforeKill)
	before, err := d.walletd.Shim(ctx)
	if err == nil {
		err = d.killAndWatch(ctx, &k, before)
	}
	if err == nil {
		pause(ctx, d.plan.afterReturn)
	}
	cancel()
	group.Wait()
	if err != nil {
		return err
	}
	after, err := d.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	k.AnsweredByGo = after.Served[rig.Legacy] - before.Served[rig.Legacy]
	k.Asked = got.total()
	if err := d.afterwards(ctx, &k); err != nil {
		return err
	}
	now, err := d.walletd.Refused(ctx)
	if err != nil {
		return err
	}
	k.Refused = now - refused
	k.Failed = d.traffic.failed.Count() + d.poster.Failed.Count() - k.failedBeforeStart
	k.took = time.Since(start)
	d.results.kills = append(d.results.kills, k)
	d.say.Step("%s", k.text(len(d.kills())))
	return ctx.Err()
}

// kills returns the kills so far, behind all front doors.
func (d *demo) kills() (all []kill) {
	for _, res := range d.all {
		all = append(all, res.kills...)
	}
	return all
}

// killAndWatch kills the sidecar and waits until a new one answers. It measures the times by the processes and by the
// shim's metrics.
func (d *demo) killAndWatch(ctx context.Context, k *kill, before rig.Shim) error {
	old := d.walletd.SidecarPids()
	if err := syscall.Kill(k.Pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("SIGKILL to the sidecar: %w", err)
	}
	killed := time.Now()
	since := func() int64 { return time.Since(killed).Milliseconds() }
	if d.config.sidecars > 1 {
		_, err := d.walletd.AwaitShim("the other sidecar is asked", backWithin, func(s rig.Shim) bool {
			return ctx.Err() != nil || s.TakeOvers > before.TakeOvers && s.Ready
		})
		if err != nil {
			return err
		}
		k.TakenOverMs = since()
	}
	err := d.walletd.Await("a new sidecar process", backWithin, func() bool {
		fresh := func(pid int) bool { return !slices.Contains(old, pid) }
		return ctx.Err() != nil || slices.ContainsFunc(d.walletd.SidecarPids(), fresh)
	})
	if err != nil {
		return err
	}
	k.StartedAgainMs = since()
	d.say.Passing("sidecar %d killed; a new one started after %d ms", k.Pid, k.StartedAgainMs)
	// The count of the sidecar's answers may include some of the old sidecar. So an answer of the new one must raise it
	// above the count at this moment, when the new one is ready.
	ready, err := d.walletd.AwaitShim("the sidecar is back and has caught up", backWithin, func(s rig.Shim) bool {
		d.say.Passing("sidecar killed; the new one is at position %s of %s", console.Count(s.Position), console.Count(s.Head))
		return ctx.Err() != nil || s.AllReady && s.Restarts > before.Restarts && s.Position >= before.Head
	})
	if err != nil {
		return err
	}
	k.CaughtUpMs, k.Reloaded = since(), ready.Position
	_, err = d.walletd.AwaitShim("the sidecar answers again", backWithin, func(s rig.Shim) bool {
		return ctx.Err() != nil || s.Served[rig.SidecarMode] > ready.Served[rig.SidecarMode]
	})
	k.ServingMs = since()
	return err
}

// afterwards compares answers of the new sidecar with those of Go.
func (d *demo) afterwards(ctx context.Context, k *kill) error {
	fresh, err := d.mixedStretch(ctx, rig.SidecarMode, d.plan.afterReturn)
	if err != nil {
		return err
	}
	if err := d.walletd.Switch(rig.Legacy, modeWithin); err != nil {
		return err
	}
	t, err := d.compare(ctx, fresh.samples, rig.SidecarMode, rig.Legacy)
	k.ComparedAfter, k.DifferentAfter = t.compared(), t.unequal()
	return err
}

func (k kill) text(n int) string {
	if k.TakenOverMs >= 0 {
		return k.textOfTwo(n)
	}
	return fmt.Sprintf("kill %d: SIGKILL under load; %s questions asked meanwhile, %d failed, Go answered %s of them;\n"+
		"           new process after %s, caught up after %s, answering again after %s; %s answers compared, %d differ",
		n, console.Count(k.Asked), k.Failed, console.Count(k.AnsweredByGo), milliseconds(k.StartedAgainMs), milliseconds(k.CaughtUpMs),
		milliseconds(k.ServingMs), console.Count(k.ComparedAfter), k.DifferentAfter)
}

func milliseconds(n int64) string { return fmt.Sprintf("%.2f s", float64(n)/1000) }
