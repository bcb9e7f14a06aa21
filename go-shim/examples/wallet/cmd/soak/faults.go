package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

var errNoSidecarPid = errors.New("no sidecar process under walletd: nothing to kill or stop")

// disturb makes the faults of a stretch, one after the other. It returns when the sidecar answers again after the last
// one.
func (s *soak) disturb(ctx context.Context, what fault) error {
	if what == noFault {
		return nil
	}
	for range s.plan.times {
		// The fault must come under load, so the sidecar must have answered something before.
		if err := s.awaitServing(ctx, "the sidecar answers before the fault"); err != nil {
			return err
		}
		before, err := s.walletd.Shim(ctx)
		if err != nil {
			return err
		}
		pid := s.walletd.SidecarPid()
		if pid == 0 {
			return s.walletd.Explain(errNoSidecarPid)
		}
		if what == kills {
			err = s.kill(ctx, pid, before)
		} else {
			err = s.stop(ctx, pid)
		}
		if err != nil {
			return err
		}
		if err := s.awaitServing(ctx, "the sidecar answers after the fault"); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *soak) kill(ctx context.Context, pid int, before rig.Shim) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("SIGKILL to the sidecar: %w", err)
	}
	s.counted.kills++
	_, err := s.walletd.AwaitShim("a new sidecar has caught up", waitLimit, func(now rig.Shim) bool {
		return ctx.Err() != nil || now.Ready && now.Restarts > before.Restarts && now.Position >= before.Head
	})
	return err
}

// stop freezes the sidecar, for less time than the shim waits before it replaces a sidecar.
func (s *soak) stop(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("SIGSTOP to the sidecar: %w", err)
	}
	s.counted.stops++
	pause(ctx, s.plan.stopped)
	// If the machine itself stalled, the shim may have replaced the sidecar meanwhile.
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("SIGCONT to the sidecar: %w", err)
	}
	return nil
}

// awaitServing waits until the sidecar has answered one more request, of any caller.
func (s *soak) awaitServing(ctx context.Context, what string) error {
	before, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	_, err = s.walletd.AwaitShim(what, waitLimit, func(now rig.Shim) bool {
		return ctx.Err() != nil || now.Served[rig.SidecarMode] > before.Served[rig.SidecarMode]
	})
	return err
}
