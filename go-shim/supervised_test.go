package shim_test

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// asSidecar makes this test binary a sidecar; its value is the ledger that it starts with, if any.
const asSidecar = "HOTPATH_TEST_SIDECAR"

func TestMain(m *testing.M) {
	if ledger, ok := os.LookupEnv(asSidecar); ok {
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
	// A real one comes back empty; the marker lets only the first hold something.
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
	body, err := proto.Marshal(balances("SIDECAR"))
	if err != nil {
		panic(err)
	}
	sidecar, err := shimtest.Listen(socket, func(s *shimtest.Sidecar) {
		s.Seed(ledger, past...)
		s.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} })
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "fake sidecar is up")
	_, _ = io.Copy(io.Discard, os.Stdin)
	sidecar.Stop()
}

func supervised(t *testing.T, ledger string) *rig {
	t.Helper()
	t.Setenv(asSidecar, ledger)
	return newRig(t, setup{noFake: true, events: 100, config: func(c *shim.Config) {
		c.Run, c.Socket, c.Supervisor.Bin, c.Supervisor.StartTimeout = shim.Supervise, "", os.Args[0], patience
	}})
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

func TestSupervisedSidecarOfAnotherPastIsRestarted(t *testing.T) {
	for _, ledger := range []string{"another", "ledger-1"} {
		r := supervised(t, ledger)
		if ledger == "ledger-1" {
			r.ledger.Truncate(3) // as after restoring a backup: the sidecar, at 9, is ahead
		}
		r.awaitReady(t)
		// More than one if it is refused again before it is gone.
		eventually(t, ledger, func() bool { return r.metric(t, "hotpath_shim_sidecar_restarts_total") >= 1 })
		_ = r.side.Close()
	}
}
