package e2e

import (
	"os"
	"path/filepath"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
)

// TestTheSidecarIsFoundEqualInEveryModeThatCompares asks random questions about a random ledger that grows meanwhile, so that
// only comparisons at the same position can be equal.
func TestTheSidecarIsFoundEqualInEveryModeThatCompares(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	evidence := filepath.Join(p.dir, "evidence")
	s := p.walletd(rig.Supervise, "--evidence", evidence)
	s.caughtUp()
	gen := walletgen.New(1, false)
	const rounds, questions = 10, 30
	for _, mode := range []rig.Mode{"shadow", "aa", "canary 50% check 100%", "reverse-shadow 100%"} {
		if err := s.Switch(mode, testTimeout); err != nil {
			t.Fatal(err)
		}
		before := s.shim()
		for range rounds {
			request := gen.Post()
			ctx, cancel := withTimeout()
			ask.Call(ctx, s.conn, walletv1.WalletService_PostTransaction_FullMethodName, encode(t, request), nil)
			cancel()
			for range questions {
				one := gen.Question()
				put(s.conn, ask.Question{Method: methodIndex(t, one.Method), Request: one.Encoded}, false, 0)
			}
		}
		const asked = rounds * questions
		s.await("all are compared", func(now rig.Shim) bool {
			return sum(now.Compared)+sum(now.Uncompared)-sum(before.Compared)-sum(before.Uncompared) >= asked*9/10
		})
		now := s.shim()
		equal := now.Compared["equal"] - before.Compared["equal"]
		t.Logf("%s: %d equal; all: %v, not compared: %v, answered: %v", mode, equal, now.Compared, now.Uncompared, now.Served)
		// A machine that stood still for a second may leave a few stale.
		if equal < asked*9/10 || sum(now.Compared) != now.Compared["equal"]+now.Compared["stale"] {
			t.Errorf("%s: of %d questions %d were found equal; before %+v, now %+v", mode, asked, equal, before.Compared, now.Compared)
		}
		bySidecar := now.Served[rig.SidecarMode] - before.Served[rig.SidecarMode]
		if forwards := mode == "canary 50% check 100%" || mode == "reverse-shadow 100%"; forwards != (bySidecar > asked/10) {
			t.Errorf("%s: the sidecar answered %d", mode, bySidecar)
		}
	}
	if files, err := os.ReadDir(evidence); err != nil || len(files) > 0 {
		t.Errorf("evidence of nothing: %v, %v", files, err)
	}
}

func sum(counts map[string]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}
