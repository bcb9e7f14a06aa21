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

	testpb "google.golang.org/grpc/interop/grpc_testing"

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

func TestModesOfTheEnvironment(t *testing.T) {
	usual, named, err := shim.ParseModes(" default = legacy ;; /a.B/C=canary 5% check 10%; /a.B/D = shadow ")
	if err != nil || usual != shim.Legacy || len(named) != 2 || named["/a.B/C"] != shim.Canary(5).Checked(10) || named["/a.B/D"] != shim.Shadow(100) {
		t.Errorf("%v, %v, %v", usual, named, err)
	}
	if usual, named, err = shim.ParseModes(""); usual != 0 || len(named) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v, %v", usual, named, err)
	}
	for text, want := range map[string]string{
		"legacy": `"legacy" must be METHOD=MODE`, "default=fast": "default: must be", "/a.B/C=legacy;/a.B/C=legacy": "/a.B/C is named twice",
		"default=legacy;default=legacy": "default is named twice",
	} {
		if _, _, err := shim.ParseModes(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What the file says wins, so that one default in it takes all back.
func TestTheFileGoesBeforeOtherModes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "modes.toml")
	for text, want := range map[string]shim.Mode{
		`default = "legacy"`: shim.Legacy,
		"[methods]\n\"" + testpb.TestService_EmptyCall_FullMethodName + "\" = \"legacy\"": shim.Canary(5),
		"[methods]\n\"" + unaryCall + "\" = \"sidecar\"":                                  shim.Sidecar,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, setup{noFake: true, config: func(c *shim.Config) {
			c.Methods = []string{unaryCall, testpb.TestService_EmptyCall_FullMethodName}
			c.ModesFile, c.Modes = file, map[string]shim.Mode{unaryCall: shim.Canary(5)}
		}})
		if got := r.side.Status().Modes[unaryCall]; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{unaryCall}, Modes: map[string]shim.Mode{"/a.B/C": shim.Legacy, unaryCall: 0}}
	_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l"))
	for _, want := range []string{"/a.B/C is not one of the Methods", unaryCall + " must have a mode"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}
