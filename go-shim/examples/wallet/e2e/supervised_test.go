package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// private starts a walletd that makes a private folder for its sidecar's socket, inside the place's directory.
func (p *place) private(env ...string) *service {
	p.t.Helper()
	w, err := rig.StartWalletd(rig.WalletdSpec{Bin: binaries.walletd, Dir: p.dir, DB: p.db, Sidecar: rig.Supervise,
		SidecarBin: binaries.hotpathd, Env: append(env, "TMPDIR="+p.dir)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.end(w.Process, w.Log()) })
	return &service{Walletd: w, t: p.t, conn: dial(p.t, w.GRPC), wallet: walletv1.NewWalletServiceClient(dial(p.t, w.GRPC))}
}

func (p *place) folders() []string {
	found, err := filepath.Glob(filepath.Join(p.dir, "hotpath-run-*"))
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

func TestAPrivateFolderComesBackAndIsSweptByTheNext(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.private()
	s.caughtUp()
	folders := p.folders()
	if len(folders) != 1 {
		t.Fatalf("there are %q", folders)
	}
	before := s.shim()
	if err := errors.Join(os.RemoveAll(folders[0]), syscall.Kill(s.SidecarPid(), syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	s.await("another sidecar has caught up", func(now rig.Shim) bool { return now.Restarts > before.Restarts && now.CaughtUp() })
	s.mustServe("nobody")
	s.Kill()

	// The old folder may stay in use until the sidecar has ended too.
	awaitTrue(t, "only the folder of the living is there", func() bool {
		again := p.private()
		again.caughtUp()
		after := p.folders()
		again.Stop(10 * time.Second)
		return len(after) == 1 && after[0] != folders[0]
	})
	if after := p.folders(); len(after) != 0 {
		t.Errorf("left: %q", after)
	}
}

func TestASidecarWithABadSettingIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	settings := filepath.Join(p.dir, "hotpathd.toml")
	if err := os.WriteFile(settings, []byte("threads = \"none\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := p.private("HOTPATHD_CONFIG=" + settings)
	given := func() float64 { return scrape(t, s.Admin).Value("hotpath_shim_sidecar_given_up", nil) }
	awaitTrue(t, "it is given up", func() bool { return given() == 1 })
	log, err := os.ReadFile(s.Log())
	if err != nil || !bytes.Contains(log, []byte("level=ERROR msg=\"the sidecar cannot start, and is not started again")) ||
		!bytes.Contains(log, []byte("exit_code=78 said=\"hotpathd: ")) || !bytes.Contains(log, []byte("hotpathd.toml:1: ")) {
		t.Fatalf("%v\n%s", err, log)
	}
	if answer := s.balance("nobody"); !answer.Decided() {
		t.Errorf("no answer: %s", answer)
	}
	if err := os.WriteFile(settings, []byte("threads = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.caughtUp()
	if given() != 0 || s.shim().Restarts != 1 {
		t.Errorf("given up: %v; %+v", given(), s.shim())
	}
}
