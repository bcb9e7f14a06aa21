package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// processDrills kill and stop sidecars.
func processDrills() []drill {
	return []drill{
		{
			name: "kill", fault: "SIGKILL to the sidecar", shows: "hotpath_shim_sidecar_restarts_total", short: true,
			setup: setup{sidecar: rig.Supervise}, strike: signal(syscall.SIGKILL), seen: metrics(restarted(1)),
			back: metrics(wellAgain),
		},
		{
			name: "stop", fault: "SIGSTOP to the sidecar, SIGCONT later", shows: "hotpath_shim_fallbacks_total", short: true,
			setup: setup{sidecar: rig.Attach}, strike: signalAttached(syscall.SIGSTOP),
			seen: metrics(func(before, now view) bool { return now.Fallbacks > before.Fallbacks }),
			mend: signalAttached(syscall.SIGCONT), back: metrics(wellAgain),
		},
		{
			name: "hang", fault: "SIGSTOP to the sidecar for good", shows: "hotpath_shim_sidecar_ready is 0",
			setup: setup{sidecar: rig.Supervise}, strike: signal(syscall.SIGSTOP),
			seen: metrics(func(_, now view) bool { return !now.Ready }),
			back: metrics(func(before, now view) bool { return restarted(1)(before, now) && wellAgain(before, now) }),
		},
		{
			name: "crash-loop", fault: "the sidecar aborts at each start, until a mended release is put in its place",
			shows: "hotpath_shim_sidecar_crash_looping is 1", short: true,
			setup: setup{
				sidecar: rig.Supervise, replaceable: true, prepare: release(true),
				env: func(s *stage) ([]string, error) { return s.faultEnv("crash"), nil },
			},
			strike: turnOn, mend: release(false), back: metrics(wellAgain),
			seen: metrics(func(_, now view) bool { return now.value("hotpath_shim_sidecar_crash_looping", nil) == 1 }),
		},
		{
			name: "pair", fault: "SIGKILL to the one of two sidecars that is asked, each in turn",
			shows: "hotpath_shim_takeovers_total", short: true, rounds: 2,
			// A slow machine must not be taken for a sidecar that hangs: the database cannot stand in for it for long.
			setup: setup{
				sidecar: rig.Supervise, args: []string{"--sidecars", "2", "--read-model", "store", "--hop-timeout-ms", "2000"},
			},
			strike: killAsked,
			seen:   metrics(func(before, now view) bool { return now.TakeOvers > before.TakeOvers && now.Ready }),
			back: metrics(func(before, now view) bool {
				return now.AllReady && restarted(1)(before, now) && wellAgain(before, now)
			}),
		},
		{
			name: "rollback", fault: "SIGSTOP to the sidecar; the kill file takes everything back meanwhile",
			shows: "hotpath_shim_killed, and hotpath_shim_forwarded_percent is 0", short: true,
			setup: setup{sidecar: rig.Attach}, strike: steps(signalAttached(syscall.SIGSTOP), writeKillFile),
			seen: metrics(func(_, now view) bool {
				return now.value("hotpath_shim_killed", nil) == 1 && now.Percent == [len(now.Percent)]int{}
			}),
			checks: nothingIsForwarded, mend: steps(signalAttached(syscall.SIGCONT), removeKillFile),
			back: metrics(func(before, now view) bool {
				return now.value("hotpath_shim_killed", nil) == 0 && wellAgain(before, now)
			}),
		},
	}
}

// restarted says whether the supervisor has started a sidecar again, so many times.
func restarted(times uint64) func(before, now view) bool {
	return func(before, now view) bool { return now.Restarts >= before.Restarts+times }
}

// wellAgain says whether the sidecar serves, has all that was committed before the last step, and no breaker is open.
func wellAgain(before, now view) bool {
	return now.Ready && now.Position >= before.Head && now.BreakersOpen == 0
}

var errNoSidecar = errors.New("walletd supervises no sidecar")

// signal sends a signal to the supervised sidecar.
func signal(sig syscall.Signal) step {
	return func(_ context.Context, s *stage) error {
		pid := s.walletd.SidecarPid()
		if pid == 0 {
			return errNoSidecar
		}
		return syscall.Kill(pid, sig)
	}
}

// signalAttached sends a signal to the attached sidecar.
func signalAttached(sig syscall.Signal) step {
	return func(_ context.Context, s *stage) error { return s.attached().Signal(sig) }
}

// killAsked kills the sidecar that is asked.
func killAsked(ctx context.Context, s *stage) error {
	pid, err := s.walletd.AskedPid(ctx)
	if err != nil || pid == 0 {
		return errors.Join(errNoSidecar, err)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// turnOn turns a fault of the faulty sidecar on.
func turnOn(_ context.Context, s *stage) error { return os.WriteFile(s.faultFile(), nil, 0o644) }

func turnOff(_ context.Context, s *stage) error { return os.Remove(s.faultFile()) }

func writeKillFile(_ context.Context, s *stage) error {
	return os.WriteFile(s.path("KILL"), nil, 0o644)
}

func removeKillFile(_ context.Context, s *stage) error { return os.Remove(s.path("KILL")) }

// nothingIsForwarded checks that Go answers, and that no request waits for the sidecar any more.
func nothingIsForwarded(ctx context.Context, s *stage) error {
	// What was under way when the kill file came is over by then.
	pause(ctx, hopTimeout)
	before, err := s.view(ctx)
	if err != nil {
		return err
	}
	s.load(ctx)
	now, err := s.view(ctx)
	if err != nil {
		return err
	}
	// On a slow machine, what was under way may take longer: one request of each caller.
	if now.Fallbacks > before.Fallbacks+callerCount || now.Served[rig.Legacy] == before.Served[rig.Legacy] {
		return fmt.Errorf("after the rollback: %d fell back to Go, which answered %d", now.Fallbacks-before.Fallbacks,
			now.Served[rig.Legacy]-before.Served[rig.Legacy])
	}
	return nil
}
