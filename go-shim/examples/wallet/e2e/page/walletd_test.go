package page

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/internal/rollout"
)

// start starts walletd with a sidecar, and has it asked until the test ends.
func start(t *testing.T, args ...string) *rig.Walletd {
	t.Helper()
	// The path of a socket may have only about 100 bytes.
	dir, err := os.MkdirTemp("", "page-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	modes := filepath.Join(dir, "modes.toml")
	if err := rig.WriteModes(modes, rig.SidecarMode); err != nil {
		t.Fatal(err)
	}
	// A busy machine may be slow, which is not the matter here.
	args = append([]string{"--kill-file", filepath.Join(dir, "kill"), "--hop-timeout-ms", "60000"}, args...)
	w, err := rig.StartWalletd(rig.WalletdSpec{
		Bin: programs.walletd, Dir: dir, DB: filepath.Join(dir, "ledger.db"), Sidecar: rig.Supervise, SidecarBin: programs.hotpathd,
		Socket: filepath.Join(dir, "s.sock"), Modes: modes, Args: args,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop(10 * time.Second)
		if t.Failed() {
			t.Logf("walletd.log:\n%s", proc.LastLines(w.Log(), 40))
		}
	})
	if _, err := w.AwaitCaughtUp(testTimeout); err != nil {
		t.Fatal(err)
	}
	conn, err := ask.Dial(w.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		question := ask.New(0, &walletv1.GetBalanceRequest{AccountId: "ann"})
		for ctx.Err() == nil {
			ask.Put(ctx, conn, question, ask.Want())
			time.Sleep(5 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-asked
		_ = conn.Close()
	})
	return w
}

// TestWalletdsPageShowsAndChanges goes through the page of a real service with a real sidecar.
func TestWalletdsPageShowsAndChanges(t *testing.T) {
	w := start(t, "--plan-state", walked(t, func(s *rollout.State) { s.Seen = time.Now().UTC().Add(time.Hour) }))
	b := open(t, "http://"+w.Admin+"/hotpath")
	b.says("#headline", "The sidecar answers everything.")
	for _, method := range ask.Hot {
		name := method[strings.LastIndex(method, "/")+1:]
		b.says("#methods", name)
		b.says("#comparisons", name)
	}
	b.says("#plan-status", "running at 25%")
	b.says("#sidecars", "ready")
	// These come from the metrics.
	b.await("/^[0-9]/.test(document.querySelector('#tile-hop').innerText)")
	b.await("parseFloat(document.querySelector('#tile-sidecar').innerText) > 0")

	all := func(what string, percent int) {
		t.Helper()
		_, err := w.AwaitShim(what, testTimeout, func(s rig.Shim) bool {
			for _, one := range s.Percent {
				if one != percent {
					return false
				}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.click("#rollback")
	b.confirm("ann")
	all("a rollback", 0)
	b.says("#headline", "Go answers everything: rolled back by ann at ")
	b.says("#methods", "legacy")
	b.await("parseFloat(document.querySelector('#tile-go').innerText) > 0")
	b.click("#resume")
	b.says("#ask-list", "GetBalance: sidecar")
	b.confirm("ann")
	all("the modes again", 100)
	b.says("#headline", "The sidecar answers everything.")

	b.click("#set-default")
	b.choose("#kind", "canary")
	b.choose("#percent", "40")
	b.choose("#check", "100")
	b.confirm("bob")
	all("a canary", 40)
	b.says("#headline", "The sidecar answers 40% of each of the 5 methods, and Go the rest.")
	b.says("#methods", "canary 40% check 100%")
	b.await("/compared/.test(document.querySelector('#tile-real-more').innerText) && !/ 0 /.test(document.querySelector('#tile-real-more').innerText)")
	b.await("/^p50 [0-9]/.test([...document.querySelectorAll('#comparisons tbody tr')].find((r) => /^GetBalance/.test(r.innerText)).cells[9].innerText)")
	folder := pictures(t)
	for _, scheme := range []string{"light", "dark"} {
		b.look(1200, scheme)
		b.check(folder, "walletd-"+scheme)
	}
	b.quiet()
	modes, err := os.ReadFile(filepath.Join(filepath.Dir(w.Log()), "modes.toml"))
	if err != nil || !strings.Contains(string(modes), "# changed by bob at ") {
		t.Errorf("%v: %s", err, modes)
	}
}
