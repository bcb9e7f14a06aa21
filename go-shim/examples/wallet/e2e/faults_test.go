package e2e

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const callers = 6

func TestAnAbsentSidecarIsNotNoticed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.walletd(rig.Attach)
	l := s.busy("absent", callers)
	l.more(300)
	l.end()
	if now := s.shim(); now.Served[rig.SidecarMode] > 0 || now.Served[rig.Legacy] == 0 || now.Ready {
		t.Errorf("without a sidecar: %+v", now)
	}
	// A sidecar that comes late takes over.
	p.hotpathd()
	s.caughtUp()
	s.mustServe("absent-0")
}

func TestAKilledSidecarIsReplacedAndNoRequestFails(t *testing.T) {
	t.Parallel()
	// With the read model "store" the sidecar has the only copy of the ledger in memory.
	for _, model := range []string{"legacy", "store"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			killAndReplace(t, newPlace(t).walletd(rig.Supervise, "--read-model", model))
		})
	}
}

func killAndReplace(t *testing.T, s *service) {
	t.Helper()
	s.caughtUp()
	l := s.busy("killed", callers)
	for range 3 {
		l.more(200)
		pid, before := s.SidecarPid(), s.shim()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", pid, err)
		}
		s.await("the new sidecar has caught up", func(now rig.Shim) bool {
			return now.Ready && now.Restarts > before.Restarts && now.Position >= before.Head
		})
		s.mustServe("killed-0")
	}
	l.end()
}

func TestAHungSidecarCostsNoAnswer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach)
	s.caughtUp()
	l := s.busy("hung", callers)
	l.more(200)
	if err := sidecar.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	before := s.shim()
	l.more(300)
	if now := s.shim(); now.Fallbacks == before.Fallbacks {
		t.Errorf("nothing fell back to Go while the sidecar was stopped: %+v", now)
	}
	if err := sidecar.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.caughtUp()
	s.mustServe("hung-0")
	l.end()
}

func TestAHungSupervisedSidecarIsReplaced(t *testing.T) {
	t.Parallel()
	s := newPlace(t).walletd(rig.Supervise)
	s.caughtUp()
	l := s.busy("stuck", callers)
	l.more(200)
	pid, before := s.SidecarPid(), s.shim()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.more(200)
	// The shim's pings take half a minute to decide that a sidecar hangs. The load need not go on for so long.
	l.end()
	s.await("another sidecar has caught up", func(now rig.Shim) bool {
		return now.Ready && now.Restarts > before.Restarts && now.Position >= before.Head
	})
	if now := s.SidecarPid(); now == pid || now == 0 {
		t.Errorf("process %d after %d", now, pid)
	}
	s.mustServe("stuck-0")
}

func TestASidecarThatRestartsEmptyIsRefilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.hotpathd()
	s := p.walletd(rig.Attach)
	s.caughtUp()
	l := s.busy("refilled", callers)
	l.more(300)
	first.Stop(testTimeout)
	l.more(100)
	second := p.hotpathd()
	if first.Pid() == second.Pid() {
		t.Fatal("the same process")
	}
	s.await("refilled", func(now rig.Shim) bool { return now.CaughtUp() && now.Position > 0 })
	s.mustServe("refilled-0")
	l.end()
	stillRuns(t, "walletd", s.Done())
}

func TestGarbageOnTheSocketIsNoAnswer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	go garble(listener)
	s := p.walletd(rig.Attach)
	l := s.busy("garbage", callers)
	l.more(300)
	if now := s.shim(); now.Served[rig.SidecarMode] > 0 || now.Ready {
		t.Errorf("garbage was taken for a sidecar: %+v", now)
	}
	_ = listener.Close()
	if err := os.RemoveAll(p.socket); err != nil {
		t.Fatal(err)
	}
	p.hotpathd()
	s.caughtUp()
	s.mustServe("garbage-0")
	l.end()
}

// garble answers every connection with meaningless bytes, and keeps it open.
func garble(listener net.Listener) {
	for n := 0; ; n++ {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d what?\r\n\r\n%s", n, make([]byte, 10_000))
			_, _ = conn.Read(make([]byte, 1<<16))
		}()
	}
}

func TestASidecarOfAnotherLedgerIsRefused(t *testing.T) {
	t.Parallel()
	theirs, ours := newPlace(t), newPlace(t)
	sidecar := theirs.hotpathd()
	first := theirs.walletd(rig.Attach)
	for n := range int64(50) {
		first.post(fmt.Sprintf("t-%d", n), "shared", 1000)
	}
	first.caughtUp()
	first.mustServe("shared")
	first.Stop(testTimeout)

	ours.socket = theirs.socket
	second := ours.walletd(rig.Attach)
	l := second.busy("ours", callers)
	l.more(300)
	second.post("ours-shared", "shared", 7)
	for range 50 {
		if wrong := holds(second.balance("shared"), 7); wrong != "" {
			t.Fatalf("not from our ledger: %s", wrong)
		}
	}
	l.end()
	if now := second.shim(); now.Served[rig.SidecarMode] > 0 || now.Ready {
		t.Errorf("a sidecar of another ledger was used: %+v", now)
	}
	stillRuns(t, "the sidecar", sidecar.Done())
}

func TestASupervisedSidecarDiesWithWalletd(t *testing.T) {
	t.Parallel()
	s := newPlace(t).walletd(rig.Supervise)
	s.caughtUp()
	pid := s.SidecarPid()
	if pid == 0 {
		t.Fatal("no sidecar process under walletd")
	}
	s.Kill()
	awaitTrue(t, "the sidecar's end", func() bool { return !proc.Exists(pid) })
}

func TestARestartedWalletdContinuesTheFeedOfASidecarThatStayed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach)
	for n := range int64(100) {
		s.post(fmt.Sprintf("before-%d", n), "acc", 1)
	}
	s.caughtUp()
	// An event that is fed twice would be applied twice, so the sidecar's counter shows a refill.
	total := int64(100)
	for name, end := range map[string]func(){"killed": func() { s.Kill() }, "stopped": func() { s.Stop(testTimeout) }} {
		end()
		s = p.walletd(rig.Attach)
		for n := range int64(100) {
			s.post(fmt.Sprintf("%s-%d", name, n), "acc", 1)
		}
		total += 100
		s.await("the newest position", func(now rig.Shim) bool { return now.Ready && now.Position == uint64(total) })
		s.mustServe("acc")
		if wrong := holds(s.balance("acc"), total); wrong != "" {
			t.Error(wrong)
		}
		if applied := metric(t, sidecar.Admin, "hotpathd_events_applied_total"); applied != float64(total) {
			t.Errorf("%s: %v events applied, not %d: the feed did not continue where it was", name, applied, total)
		}
	}
}
