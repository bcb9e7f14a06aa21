package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/shimadmin"
)

// upgradable is a walletd whose sidecars run a program that the test can replace.
type upgradable struct {
	*service
	program string
}

// upgradable starts it. A hop may take long, so that a slow machine is not taken for a sidecar that gives no answer.
func (p *place) upgradable(args ...string) *upgradable {
	p.t.Helper()
	u := &upgradable{program: filepath.Join(p.dir, "hotpathd")}
	u.release(p.t, nil)
	if door := os.Getenv("TEST_FRONT_DOOR"); door != "" {
		args = append([]string{"--front-door", door}, args...)
	}
	w, err := rig.StartWalletd(rig.WalletdSpec{
		Bin: binaries.walletd, Dir: p.dir, DB: p.db, Sidecar: rig.Supervise, SidecarBin: u.program,
		Socket: p.socket, Modes: p.modes, Args: append([]string{"--hop-timeout-ms", "5000"}, args...),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.end(w.Process, w.Log()) })
	u.service = &service{Walletd: w, t: p.t, conn: dial(p.t, w.GRPC), wallet: walletv1.NewWalletServiceClient(dial(p.t, w.GRPC))}
	u.await("all are ready", func(now rig.Shim) bool { return now.AllReady && now.CaughtUp() })
	return u
}

// release replaces the program, by a copy of hotpathd if there is no text.
func (u *upgradable) release(t *testing.T, text []byte) {
	t.Helper()
	var err error
	if text == nil {
		text, err = os.ReadFile(binaries.hotpathd)
	}
	if err == nil {
		err = os.WriteFile(u.program+".new", text, 0o700)
	}
	if err == nil {
		err = os.Rename(u.program+".new", u.program)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// upgrade asks for an upgrade, and returns the status code and the answer.
func (u *upgradable) upgrade() (int, string) {
	u.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+u.Admin+shimadmin.Prefix+"upgrade", nil)
	if err != nil {
		u.t.Fatal(err)
	}
	request.Header.Set(shimadmin.WhoHeader, "e2e")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		u.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

func (u *upgradable) pids() []int {
	u.t.Helper()
	var status shimadmin.Status
	if err := json.Unmarshal(page(u.t, u.Admin, shimadmin.Prefix+"status"), &status); err != nil {
		u.t.Fatal(err)
	}
	var pids []int
	for _, c := range status.Sidecars {
		pids = append(pids, c.PID)
	}
	return pids
}

// eachUpgradable has one sidecar beside a service with a copy of the ledger, and two beside one without.
func eachUpgradable(t *testing.T, test func(t *testing.T, u *upgradable)) {
	for sidecars, model := range map[string]string{"1": "legacy", "2": "store"} {
		t.Run(sidecars, func(t *testing.T) {
			t.Parallel()
			test(t, newPlace(t).upgradable("--sidecars", sidecars, "--read-model", model))
		})
	}
}

func TestSidecarsAreUpgradedUnderLoadAndNoRequestFails(t *testing.T) {
	t.Parallel()
	eachUpgradable(t, func(t *testing.T, u *upgradable) {
		l := u.busy("upgraded", callers)
		u.mustServe("upgraded-0")
		before := u.shim()
		for range 3 {
			l.more(100)
			pids := u.pids()
			u.release(t, nil)
			if code, answer := u.upgrade(); code != http.StatusOK {
				t.Fatalf("%d %s", code, answer)
			}
			for i, pid := range u.pids() {
				if pid == 0 || slices.Contains(pids, pid) || proc.Exists(pids[i]) {
					t.Errorf("processes %v after %v", u.pids(), pids)
				}
			}
			l.more(100)
		}
		l.end()
		now := u.shim()
		if now.Fallbacks != before.Fallbacks || now.Served[rig.Legacy] != before.Served[rig.Legacy] || now.Restarts != 0 {
			t.Errorf("requests fell back, or a sidecar was restarted: %+v, before the upgrades %+v", now, before)
		}
	})
}

func TestAnUpgradeToAProgramThatCannotStartChangesNothing(t *testing.T) {
	t.Parallel()
	eachUpgradable(t, func(t *testing.T, u *upgradable) {
		l := u.busy("kept", callers)
		u.mustServe("kept-0")
		pids, before := u.pids(), u.shim()
		u.release(t, []byte("#!/bin/sh\necho this release is broken >&2\nexit 70\n"))
		if code, answer := u.upgrade(); code != http.StatusInternalServerError || !strings.Contains(answer, "this release is broken") {
			t.Fatalf("%d %s", code, answer)
		}
		l.more(200)
		l.end()
		if now := u.shim(); !slices.Equal(u.pids(), pids) || now.Fallbacks != before.Fallbacks {
			t.Errorf("processes %v after %v; %+v, before %+v", u.pids(), pids, now, before)
		}
		if n := scrape(t, u.Admin).Value("hotpath_shim_upgrades_total", map[string]string{"result": "crashed"}); n != 1 {
			t.Errorf("%v upgrades counted", n)
		}
	})
}

// Supervised sidecars are upgraded by walletd alone if it was told to.
func TestAReplacedProgramIsNoticed(t *testing.T) {
	t.Parallel()
	u := newPlace(t).upgradable("--upgrade-on-change")
	pids := u.pids()
	u.release(t, nil)
	awaitTrue(t, "it is upgraded", func() bool {
		return scrape(t, u.Admin).Value("hotpath_shim_upgrades_total", map[string]string{"result": "done"}) == 1
	})
	if now := u.pids(); slices.Equal(now, pids) {
		t.Error(fmt.Sprint("still ", now))
	}
	u.mustServe("nobody")
}
