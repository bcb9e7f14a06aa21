package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// testTimeout bounds waits. They reach it only if something is broken.
const testTimeout = 3 * time.Minute

// place is a directory with a ledger and a socket, in which tests start and stop services.
type place struct {
	t      *testing.T
	dir    string
	db     string
	socket string
	modes  string
}

// newPlace makes a place with a short path, because the path of a Unix socket may have only about 100 bytes.
func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &place{
		t: t, dir: dir, db: filepath.Join(dir, "ledger.db"), socket: filepath.Join(dir, "s.sock"),
		modes: filepath.Join(dir, "modes.toml"),
	}
	if err := rig.WriteModes(p.modes, rig.SidecarMode); err != nil {
		t.Fatal(err)
	}
	return p
}

// service is a running walletd with a connection to it.
type service struct {
	*rig.Walletd
	t      *testing.T
	conn   *grpc.ClientConn
	wallet walletv1.WalletServiceClient
}

// walletd starts a service with the front door that TEST_FRONT_DOOR names: make test runs this package with each. With
// TEST_FRONT_LOCAL the door runs walletd's own reads too.
func (p *place) walletd(sidecar rig.Sidecar, args ...string) *service {
	p.t.Helper()
	if door := os.Getenv("TEST_FRONT_DOOR"); door != "" && sidecar != rig.Off {
		args = append([]string{"--front-door", door}, args...)
		if os.Getenv("TEST_FRONT_LOCAL") != "" {
			args = append([]string{"--front-local"}, args...)
		}
	}
	w, err := rig.StartWalletd(rig.WalletdSpec{
		Bin: binaries.walletd, Dir: p.dir, DB: p.db, Sidecar: sidecar, SidecarBin: binaries.hotpathd,
		Socket: p.socket, Modes: p.modes, Args: args,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.end(w.Process, w.Log()) })
	return &service{Walletd: w, t: p.t, conn: dial(p.t, w.GRPC), wallet: walletv1.NewWalletServiceClient(dial(p.t, w.GRPC))}
}

func (p *place) hotpathd(args ...string) *rig.Hotpathd {
	p.t.Helper()
	h, err := rig.StartHotpathd(rig.HotpathdSpec{Bin: binaries.hotpathd, Dir: p.dir, Socket: p.socket, Args: args})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.end(h.Process, filepath.Join(p.dir, "hotpathd.log")) })
	return h
}

// end stops a process. It fails the test if the log reports a data race, and shows the log's end if the test failed.
func (p *place) end(process *proc.Process, log string) {
	process.Stop(10 * time.Second)
	if text, err := os.ReadFile(log); err != nil || bytes.Contains(text, []byte("DATA RACE")) {
		p.t.Errorf("%s: a data race, or no log (%v):\n%s", filepath.Base(log), err, text)
	}
	if p.t.Failed() {
		p.t.Logf("%s:\n%s", filepath.Base(log), proc.LastLines(log, 40))
	}
}

func dial(t *testing.T, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := ask.Dial(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *service) caughtUp() {
	s.t.Helper()
	if _, err := s.AwaitCaughtUp(testTimeout); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) shim() rig.Shim {
	s.t.Helper()
	now, err := s.Shim(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

func (s *service) await(what string, good func(rig.Shim) bool) {
	s.t.Helper()
	if _, err := s.AwaitShim(what, testTimeout, good); err != nil {
		s.t.Fatal(err)
	}
}

// post credits an account by an external transaction and returns the position.
func (s *service) post(id, account string, amount int64) uint64 {
	s.t.Helper()
	p, err := s.tryPost(id, account, amount)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *service) tryPost(id, account string, amount int64) (uint64, error) {
	ctx, cancel := withTimeout()
	defer cancel()
	reply, err := s.wallet.PostTransaction(ctx, &walletv1.PostTransactionRequest{
		TransactionId: id, External: true, OccurredAtUs: amount * 1000, Entries: []*walletv1.Entry{{
			AccountId: account, Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Kind: "gift",
		}},
	})
	if err != nil {
		return 0, fmt.Errorf("post %s: %w", id, err)
	}
	return reply.GetPosition(), nil
}

// balance asks for a balance with a long timeout, because tests check that there is an answer and which, not when it
// comes.
func (s *service) balance(account string) ask.Answer {
	return put(s.conn, ask.New(0, &walletv1.GetBalanceRequest{AccountId: account}), false, 0)
}

func withTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), testTimeout)
}

func put(conn *grpc.ClientConn, q ask.Question, exact bool, at uint64) ask.Answer {
	ctx, cancel := withTimeout()
	defer cancel()
	if exact {
		return ask.Put(ctx, conn, q, ask.At(at))
	}
	return ask.Put(ctx, conn, q, ask.Want())
}

// mustServe asks questions until the sidecar has answered one more.
func (s *service) mustServe(account string) {
	s.t.Helper()
	before := s.shim().Served[rig.SidecarMode]
	s.await("the sidecar answers", func(now rig.Shim) bool {
		if answer := s.balance(account); !answer.Decided() {
			s.t.Fatalf("while waiting for the sidecar: %s", answer)
		}
		return now.Served[rig.SidecarMode] > before
	})
}
