package shim_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// asSidecar is the environment variable that makes this test binary a sidecar. Its value is the ledger with which the
// sidecar starts, if any.
const asSidecar = "HOTPATH_TEST_SIDECAR"

func TestMain(m *testing.M) {
	if ledger, ok := os.LookupEnv(asSidecar); ok {
		endHopelessly()
		actAsSidecar(ledger)
		return
	}
	os.Exit(m.Run())
}

func actAsSidecar(ledger string) {
	var socket string
	for i, arg := range os.Args {
		if arg == "--socket" {
			socket = os.Args[i+1]
		}
	}
	// A real sidecar comes back empty. The marker lets only the first one hold something.
	marker := socket + ".seeded"
	var past [][]byte
	if _, err := os.Stat(marker); ledger != "" && err != nil {
		past = make([][]byte, 9)
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			panic(err)
		}
	} else {
		ledger = ""
	}
	name := "SIDECAR"
	if release := os.Getenv(asRelease); release != "" {
		name = release
	}
	body, err := proto.Marshal(response(name))
	if err != nil {
		panic(err)
	}
	sidecar, err := shimtest.Listen(socket, func(s *shimtest.Sidecar) {
		s.Seed(ledger, past...)
		s.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} })
		haveFlaw(s, body)
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "fake sidecar is up")
	_, _ = io.Copy(io.Discard, os.Stdin)
	sidecar.Stop()
}

// asHopeless is the environment variable that makes this test binary a sidecar that cannot start while the file that it
// names exists.
const asHopeless = "HOTPATHD_TEST_OBSTACLE"

// endHopelessly ends the process as hotpathd does with a bad setting, if that file exists.
func endHopelessly() {
	if _, err := os.Stat(os.Getenv(asHopeless)); err == nil {
		fmt.Fprintln(os.Stderr, "hotpathd: 1 mistake, nothing was started:")
		os.Exit(64)
	}
}

func supervised(t *testing.T, ledger string, change ...func(*shim.Config)) *rig {
	t.Helper()
	t.Setenv(asSidecar, ledger)
	t.Setenv("TMPDIR", shortDir(t))
	return newRig(t, setup{noFake: true, events: 100, config: func(c *shim.Config) {
		c.Run, c.Socket, c.Supervisor.Bin, c.Supervisor.StartTimeout = shim.Supervise, "", os.Args[0], testTimeout
		for _, do := range change {
			do(c)
		}
	}})
}

// shortDir is a folder for sockets, whose paths must be short. That of t.TempDir has the test's name in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestSupervisedSidecarIsKilledAndComesBack(t *testing.T) {
	r := supervised(t, "")
	r.awaitReady(t)
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	pid := r.side.Status().SidecarPID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sidecar answers again, and no request fails meanwhile", func() bool {
		who, now := r.ask(t, t.Context()), r.side.Status().SidecarPID
		return who == "SIDECAR" && now != pid && now != 0
	})
	eventually(t, "one restart is counted", func() bool { return r.metric(t, "hotpath_shim_sidecar_restarts_total") == 1 })
	pid, socket := r.side.Status().SidecarPID, r.side.Status().Socket
	if err := r.side.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) || syscall.Kill(pid, 0) == nil {
		t.Fatalf("the socket's directory or the sidecar is left behind: %v", err)
	}
}

func TestAPrivateFolderThatIsRemovedIsMadeAgain(t *testing.T) {
	r := supervised(t, "")
	r.awaitReady(t)
	pid, socket := r.side.Status().SidecarPID, r.side.Status().Socket
	if err := errors.Join(os.RemoveAll(filepath.Dir(socket)), syscall.Kill(pid, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sidecar answers again", func() bool {
		who, now := r.ask(t, t.Context()), r.side.Status().SidecarPID
		return who == "SIDECAR" && now != pid && now != 0
	})
	if now := r.side.Status().Socket; now != socket {
		t.Fatalf("socket %s, not %s", now, socket)
	}
}

// A killed process leaves a folder that nobody has locked.
func TestFoldersOfDeadProcessesAreSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left := filepath.Join(os.TempDir(), "hotpath-run-1")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "sidecar.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	side, err := shim.Open(t.Context(), shim.Config{Run: shim.Supervise, Methods: []string{unaryCall},
		Logger: slog.New(slog.DiscardHandler), Supervisor: shim.Supervisor{Bin: "true"}}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	if found, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(found) != 1 || found[0] != filepath.Dir(side.Status().Socket) {
		t.Fatalf("there are %q", found)
	}
}

func TestASidecarThatCannotStartIsGivenUpUntilItCan(t *testing.T) {
	var log logged
	obstacle := filepath.Join(t.TempDir(), "obstacle")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHopeless, obstacle)
	t.Setenv(asSidecar, "")
	t.Setenv("TMPDIR", t.TempDir())
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) {
		c.Run, c.Socket, c.Supervisor.Bin, c.Supervisor.StartTimeout = shim.Supervise, "", os.Args[0], testTimeout
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}})
	eventually(t, "given up", func() bool { return r.metric(t, "hotpath_shim_sidecar_given_up") == 1 })
	if who := r.ask(t, t.Context()); who != "LOCAL" || !log.has(`exit_code=64 said="hotpathd: 1 mistake, nothing was started:"`) {
		t.Fatalf("answered by %s; log:\n%s", who, log.String())
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	r.awaitReady(t)
	if up, n := r.metric(t, "hotpath_shim_sidecar_given_up"), r.metric(t, "hotpath_shim_sidecar_restarts_total"); up != 0 || n != 1 {
		t.Fatalf("given up: %v; %v restarts", up, n)
	}
}

func TestSupervisedSidecarOfAnotherPastIsRestarted(t *testing.T) {
	for _, ledger := range []string{"another", "ledger-1"} {
		r := supervised(t, ledger)
		if ledger == "ledger-1" {
			r.ledger.Truncate(3) // as after restoring a backup: the sidecar, at 9, is ahead
		}
		r.awaitReady(t)
		// There may be more than one restart, if the sidecar is refused again before it is gone.
		eventually(t, ledger, func() bool { return r.metric(t, "hotpath_shim_sidecar_restarts_total") >= 1 })
		_ = r.side.Close()
	}
}
