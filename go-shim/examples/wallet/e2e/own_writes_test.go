package e2e

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

func balanceOf(account string) ask.Question {
	return ask.New(0, &walletv1.GetBalanceRequest{AccountId: account})
}

// TestOwnWritesAreReadAtOnce relies on busy, whose callers each read their own writes at once and report a missing one.
func TestOwnWritesAreReadAtOnce(t *testing.T) {
	t.Parallel()
	s := newPlace(t).walletd(rig.Supervise)
	s.caughtUp()
	before := s.shim()
	l := s.busy("own", 16)
	l.more(3000)
	// The machine's speed decides how many answers of the sidecar come within the hop timeout.
	const many = 500
	s.await("many own writes are read from the sidecar", func(now rig.Shim) bool {
		return now.Served[rig.SidecarMode] >= before.Served[rig.SidecarMode]+many
	})
	l.end()
	now := s.shim()
	t.Logf("%d transactions read back; %d answers by the sidecar, %d by Go", now.Head,
		now.Served[rig.SidecarMode]-before.Served[rig.SidecarMode], now.Served[rig.Legacy]-before.Served[rig.Legacy])
}

// TestABoundIsKeptAndAnUnreachableOneIsAnError asks at positions that the posts returned, as another caller may who was
// told of them.
func TestABoundIsKeptAndAnUnreachableOneIsAnError(t *testing.T) {
	t.Parallel()
	s := newPlace(t).walletd(rig.Supervise)
	s.caughtUp()
	for n := range 200 {
		at := s.post(fmt.Sprintf("t-%d", n), "acc", 1)
		answer := put(s.conn, balanceOf("acc"), true, at)
		if wrong := holds(answer, int64(n+1)); wrong != "" || answer.Position != at {
			t.Fatalf("at %d: %s %s", at, wrong, answer)
		}
	}
	// Either side may answer at a past position: the sidecar as long as it still has the version, Go otherwise.
	for n := range 200 {
		answer := put(s.conn, balanceOf("acc"), true, uint64(n+1))
		if wrong := holds(answer, int64(n+1)); wrong != "" {
			t.Fatalf("at %d: %s", n+1, wrong)
		}
	}
	ahead := put(s.conn, balanceOf("acc"), true, 1000)
	if ahead.Code != codes.FailedPrecondition || ahead.HasPosition || len(ahead.Details) == 0 {
		t.Errorf("at a position that is not reached: %s %s", ahead, ahead.Details)
	}
}
