package e2e

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// twoSidecars starts walletd with two sidecars and no read model in memory, as who runs two would, and puts it under load. The
// timeout of a hop is long, so that a slow machine is not taken for a sidecar that hangs.
func twoSidecars(t *testing.T, sidecar rig.Sidecar, p *place) (*service, *load) {
	t.Helper()
	s := p.walletd(sidecar, "--read-model", "store", "--sidecars", "2", "--hop-timeout-ms", "2000")
	s.await("both are ready", func(now rig.Shim) bool { return now.AllReady && now.CaughtUp() })
	l := s.busy("pair", callers)
	l.more(200)
	return s, l
}

// signal sends a signal to the sidecar that is asked, and returns its process id.
func (s *service) signal(signal syscall.Signal) int {
	s.t.Helper()
	pid, err := s.AskedPid(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		s.t.Fatalf("signal %d: %v", pid, err)
	}
	return pid
}

func TestOfTwoSidecarsOneIsKilledAndNoRequestFails(t *testing.T) {
	t.Parallel()
	s, l := twoSidecars(t, rig.Supervise, newPlace(t))
	for range 3 {
		before := s.shim()
		s.signal(syscall.SIGKILL)
		s.await("the other one is asked", func(now rig.Shim) bool { return now.TakeOvers > before.TakeOvers && now.Ready })
		s.mustServe("pair-0")
		l.more(200)
		s.await("the first stands by", func(now rig.Shim) bool { return now.AllReady && now.Restarts > before.Restarts })
		l.more(200)
	}
	l.end()
	if now := s.shim(); now.Restarts != 3 {
		t.Errorf("after 3 kills: %+v", now)
	}
}

func TestOfTwoSidecarsOneHangsAndNoRequestFails(t *testing.T) {
	t.Parallel()
	s, l := twoSidecars(t, rig.Supervise, newPlace(t))
	before := s.shim()
	pid := s.signal(syscall.SIGSTOP)
	s.await("the other one is asked", func(now rig.Shim) bool { return now.TakeOvers > before.TakeOvers && now.Asked != before.Asked })
	s.mustServe("pair-0")
	l.more(300)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.await("it is well again", func(now rig.Shim) bool { return now.AllReady && now.BreakersOpen == 0 })
	l.more(200)
	l.end()
}

// Posts show that it hangs, before it has to take over. While neither can answer, the database does.
func TestOfTwoSidecarsTheOneThatStandsByHangs(t *testing.T) {
	t.Parallel()
	s, l := twoSidecars(t, rig.Supervise, newPlace(t))
	before := s.shim()
	asked, err := s.AskedPid(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	other := slices.DeleteFunc(s.SidecarPids(), func(pid int) bool { return pid == asked })
	if len(other) != 1 {
		t.Fatalf("beside %d there are %v", asked, other)
	}
	if err := syscall.Kill(other[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.await("it is known to hang", func(now rig.Shim) bool { return !now.AllReady && now.Ready })
	s.signal(syscall.SIGKILL)
	s.await("the killed one is back", func(now rig.Shim) bool { return now.Ready && now.Restarts > before.Restarts })
	s.mustServe("pair-0")
	if err := syscall.Kill(other[0], syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.await("both are well", func(now rig.Shim) bool { return now.AllReady })
	l.more(200)
	l.end()
}

// Sidecars that something else runs are found by the names of their sockets.
func TestTwoSidecarsAreAttachedTo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.hotpathd()
	other := &place{t: t, dir: t.TempDir(), socket: p.socket + ".1"}
	second := other.hotpathd()
	s, l := twoSidecars(t, rig.Attach, p)
	asked := []*rig.Hotpathd{first, second}[s.shim().Asked]
	if err := asked.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.mustServe("pair-0")
	l.more(200)
	l.end()
	for i, h := range []*rig.Hotpathd{first, second} {
		if h != asked {
			stillRuns(t, fmt.Sprint("sidecar ", i), h.Done())
		}
	}
}
