package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// TestACanaryIsRaisedAndTakenBackWhileTheSidecarHangs goes the way of a rollout: a share of the accounts, all of them, and
// back by the kill file, when nothing else answers.
func TestACanaryIsRaisedAndTakenBackWhileTheSidecarHangs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	kill := filepath.Join(p.dir, "kill")
	s := p.walletd(rig.Supervise, "--kill-file", kill)
	s.caughtUp()
	l := s.busy("canary", callers)
	for _, percent := range []int{40, 100} {
		before := s.shim()
		if err := rig.WriteModes(p.modes, rig.Mode(fmt.Sprintf("canary %d%%", percent))); err != nil {
			t.Fatal(err)
		}
		s.await("the new percentage", func(now rig.Shim) bool { return now.Percent[0] == percent })
		l.more(400)
		s.await("the sidecar answers a share", func(now rig.Shim) bool {
			return now.Served[rig.SidecarMode] > before.Served[rig.SidecarMode]
		})
	}
	if err := syscall.Kill(s.SidecarPid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kill, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.await("all methods are legacy", func(now rig.Shim) bool {
		return now.Percent == [len(now.Percent)]int{}
	})
	back := s.shim()
	l.more(200)
	l.end()
	if now := s.shim(); now.Served[rig.Legacy] < back.Served[rig.Legacy]+200 || now.Served[rig.SidecarMode] > back.Served[rig.SidecarMode]+callers {
		t.Errorf("after the rollback, from %+v to %+v", back, now)
	}
	if err := syscall.Kill(s.SidecarPid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(kill); err != nil {
		t.Fatal(err)
	}
	s.mustServe("canary-0")
}
