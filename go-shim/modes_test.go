package shim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/shimtest"
)

// Without CanaryKey the request's bytes decide, whoever sees them: each door, and each way to show requests to interceptors.
func TestACanaryTakesTheSameRequestsBehindBothDoors(t *testing.T) {
	for _, door := range []shim.FrontDoor{shim.Stock, shim.Spliced} {
		t.Run(fmt.Sprint(door), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{config: func(c *shim.Config) {
				c.FrontDoor, c.DefaultMode, c.Experiment.OpenDoor = door, shim.Canary(40), door == shim.Spliced
			}})
			forwarded := 0
			for n := range 100 {
				request := requestOf(fmt.Sprint("account-", n))
				reply, err := r.client.UnaryCall(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				want := "LOCAL"
				if modes.Canary(40).Takes(encode(t, request)) {
					want = "SIDECAR"
					forwarded++
				}
				if reply.GetUsername() != want {
					t.Errorf("request %d was answered by %s, not %s", n, reply.GetUsername(), want)
				}
			}
			if forwarded < 20 || forwarded > 60 {
				t.Errorf("%d of 100 are forwarded", forwarded)
			}
			if got := r.metric(t, "hotpath_shim_forwarded_percent", "method", unaryCall); got != 40 {
				t.Errorf("the metric shows %v%%", got)
			}
			if n := r.metric(t, "hotpath_shim_fallbacks_total"); n != 0 {
				t.Errorf("%v requests outside the canary count as fallbacks", n)
			}
		})
	}
}

func TestTheKillFileWins(t *testing.T) {
	folder := t.TempDir()
	kill, file := filepath.Join(folder, "kill"), filepath.Join(folder, "modes.toml")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(file, `default = "sidecar"`)
	put(kill, "")
	log := &logged{}
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
		c.KillFile, c.ModesFile, c.ModesPoll = kill, file, 2*time.Millisecond
	}})
	killed := func() bool { return r.metric(t, "hotpath_shim_killed") == 1 }
	if who := r.ask(t, t.Context()); who != "LOCAL" || !r.side.Status().Killed || !killed() {
		t.Fatalf("answered by %s although the kill file was there at the start", who)
	}
	// What the modes file says meanwhile counts later.
	put(file, `default = "canary 100%"`)
	eventually(t, "the file is read", func() bool { return log.has("the modes file was read again") })
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	if err := os.Remove(kill); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the modes are back", func() bool { return r.side.Status().Modes[unaryCall] == shim.Canary(100) && !killed() })
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	// A sidecar that hangs is no hindrance.
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	put(kill, "")
	eventually(t, "all is local", killed)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if who := r.ask(t, ctx); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	for _, want := range []string{"before=\"canary 100%\" after=legacy by=\"kill file " + kill, "before=legacy after=\"canary 100%\""} {
		if !log.has(want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
}

func TestModesThatAreNoneAreErrorsOfOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{unaryCall}, DefaultMode: shim.Legacy | 1<<8}
	if _, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l")); !errors.Is(err, shim.ErrConfig) || !strings.Contains(err.Error(), "DefaultMode") {
		t.Errorf("a mode that is none: %v", err)
	}
	cfg.DefaultMode, cfg.KillFile = shim.Legacy, filepath.Join(file, "kill")
	if _, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l")); !errors.Is(err, shim.ErrConfig) || !strings.Contains(err.Error(), "KillFile") {
		t.Errorf("a kill file that cannot be looked for: %v", err)
	}
	if shim.Canary(101) != 0 || shim.Canary(-1) != 0 {
		t.Error("more than all, or less than nothing")
	}
}
