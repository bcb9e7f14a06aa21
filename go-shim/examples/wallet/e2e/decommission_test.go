package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// hotpathctl builds the command once for the tests of this file, and returns how to run it.
func hotpathctl(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hotpathctl")
	if out, err := exec.Command("go", "build", "-o", bin, "hotpath.dev/go-shim/cmd/hotpathctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
		return string(out), err
	}
}

// patient returns flags with which a slow machine is not taken for a sidecar that hangs, nor for a database that is too busy.
func patient() []string { return []string{"--hop-timeout-ms", "2000", "--store-reads", "16"} }

// readModel asks for a read model. A sidecar that is too slow for a moment is a reason to refuse it, so it asks again then.
func (s *service) readModel(ctl func(...string) (string, error), admin string, args ...string) (out string, err error) {
	s.t.Helper()
	awaitTrue(s.t, "the sidecar is well", func() bool {
		out, err = ctl(append([]string{"read-model", "--admin", admin}, args...)...)
		return err == nil || !strings.Contains(out, "breakers are open") && !strings.Contains(out, "no sidecar is ready")
	})
	return out, err
}

// pastAnswers asks for balances at past positions from now on, which must be what they were.
func (s *service) pastAnswers(account string, posts int) (end func()) {
	over := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for n := 0; ; n = (n + 7) % posts {
			select {
			case <-over:
				return
			default:
			}
			if wrong := holds(put(s.conn, balanceOf(account), true, uint64(n+1)), int64(n+1)); wrong != "" {
				s.t.Errorf("at %d: %s", n+1, wrong)
				return
			}
		}
	})
	return func() { close(over); asking.Wait() }
}

// inMemory waits until read models hold entries in memory, or none.
func (s *service) inMemory(any bool) {
	s.t.Helper()
	awaitTrue(s.t, fmt.Sprintf("entries are in memory: %v", any), func() bool {
		return (metric(s.t, s.Admin, "walletd_entries_in_memory") > 0) == any
	})
}

// TestGosReadModelIsTakenOutAndBroughtBackUnderLoad has callers that post and read their own writes, and others that read
// at past positions, while the read model goes to the database and back, twice.
func TestGosReadModelIsTakenOutAndBroughtBackUnderLoad(t *testing.T) {
	t.Parallel()
	for _, mode := range []rig.Mode{rig.SidecarMode, rig.Legacy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if err := rig.WriteModes(p.modes, mode); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(p.dir, "admin.sock")
			s := p.walletd(rig.Supervise, append(patient(), "--admin-socket", socket)...)
			s.caughtUp()
			const posts = 150
			for n := range posts {
				s.post(fmt.Sprintf("past-%d", n), "past", 1)
			}
			ctl := hotpathctl(t)
			to := func(admin, model string, flags ...string) {
				t.Helper()
				out, err := s.readModel(ctl, admin, append(flags, model)...)
				if err != nil || !strings.Contains(out, model+" is in force") {
					t.Fatalf("%s: %v\n%s", model, err, out)
				}
				if in := scrape(t, s.Admin).Value("walletd_read_model", probe.Labels{"model": model}); in != 1 {
					t.Errorf("%s: walletd_read_model is %v", model, in)
				}
			}
			l := s.busy("switched", callers)
			end := s.pastAnswers("past", posts)
			l.more(200)
			var force []string
			if mode == rig.Legacy {
				out, err := ctl("read-model", "--admin", "http://"+s.Admin, "store")
				if err == nil || !strings.Contains(out, "not forwarded at 100%: /wallet.v1.WalletService/BatchGetBalances (legacy)") {
					t.Errorf("Go answers, and its read model was taken out: %v\n%s", err, out)
				}
				force = []string{"--force"}
			} else {
				s.mustServe("switched-0")
			}
			for _, back := range []string{"legacy", "best"} {
				to("http://"+s.Admin, "store", force...)
				s.inMemory(false)
				l.more(100)
				to("unix:"+socket, back)
				s.inMemory(true)
				l.more(100)
			}
			end()
			l.end()
			if entries := metric(t, s.Admin, "walletd_entries"); entries != float64(s.shim().Head) {
				t.Errorf("the model has %v entries of %d", entries, s.shim().Head)
			}
			log, err := os.ReadFile(s.Log())
			if err != nil || strings.Count(string(log), "the read model has changed") != 4 {
				t.Errorf("the log does not tell of four changes (%v)", err)
			}
		})
	}
}

// TestARollbackWorksWithoutAReadModelInMemory goes back to Go while Go has only the database.
func TestARollbackWorksWithoutAReadModelInMemory(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	kill := filepath.Join(p.dir, "kill")
	s := p.walletd(rig.Supervise, append(patient(), "--kill-file", kill)...)
	s.caughtUp()
	s.mustServe("nobody")
	ctl := hotpathctl(t)
	l := s.busy("rolled", callers)
	l.more(100)
	if out, err := s.readModel(ctl, "http://"+s.Admin, "store"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := ctl("rollback", "--kill-file", kill, "--within", "3m", "--metrics", "http://"+s.Admin+"/metrics"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before := s.shim()
	l.more(100)
	if now := s.shim(); now.Served[rig.Legacy] < before.Served[rig.Legacy]+100 {
		t.Errorf("after the rollback, from %+v to %+v", before, now)
	}
	if out, err := ctl("read-model", "--admin", "http://"+s.Admin, "legacy"); err != nil {
		t.Errorf("back, after the rollback: %v\n%s", err, out)
	}
	l.more(100)
	l.end()
	if status, _ := get(t, s.Admin, "/hotpath/read-model"); status != http.StatusOK {
		t.Errorf("read-model: %d", status)
	}
}
