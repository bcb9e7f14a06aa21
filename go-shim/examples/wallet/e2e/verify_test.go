package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
)

// audited is a ledger on a sidecar and on a walletd that answers by itself.
type audited struct {
	t       *testing.T
	sidecar *rig.Hotpathd
	service *service
}

// longEntries is enough for an index: 63 entries are sealed together, and 128 in a run have one.
const longEntries = 600

func newAudited(t *testing.T, mode rig.Mode) *audited {
	t.Helper()
	p := newPlace(t)
	if err := rig.WriteModes(p.modes, mode); err != nil {
		t.Fatal(err)
	}
	a := &audited{t: t, sidecar: p.hotpathd(), service: p.walletd(rig.Attach)}
	a.service.fill(0)
	a.service.caughtUp()
	return a
}

// fill posts the same transactions to every service, a random mix and a long history. lie changes one of the amounts.
func (s *service) fill(lie int64) {
	s.t.Helper()
	gen := walletgen.New(13, false)
	for range 60 {
		ctx, cancel := withTimeout()
		// Some of them break a rule, and then all services refuse them.
		ask.Call(ctx, s.conn, walletv1.WalletService_PostTransaction_FullMethodName, encode(s.t, gen.Post()), nil)
		cancel()
	}
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	next := make(chan int)
	for range 8 {
		group.Go(func() {
			for n := range next {
				amount := int64(n)
				if n == longEntries/2 {
					amount += lie
				}
				if err := s.postLong(n, amount); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	for n := 1; n <= longEntries; n++ {
		next <- n
	}
	close(next)
	group.Wait()
	if err := failed.Load(); err != nil {
		s.t.Fatal(*err)
	}
}

// postLong posts an entry of the long history, whose times are in no order.
func (s *service) postLong(n int, amount int64) error {
	ctx, cancel := withTimeout()
	defer cancel()
	_, err := s.wallet.PostTransaction(ctx, &walletv1.PostTransactionRequest{
		TransactionId: fmt.Sprintf("long-%d", n), External: true, OccurredAtUs: int64(n*7919%1009) * 3_600_000_000,
		Entries: []*walletv1.Entry{{
			AccountId: "long", Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED,
			Counterparty: fmt.Sprintf("c%d", n%20),
		}},
	})
	return err
}

// verify runs `hotpathd verify` and returns its exit code and everything that it printed.
func verify(t *testing.T, args ...string) (code int, printed string) {
	t.Helper()
	output, err := exec.Command(binaries.hotpathd, append([]string{"verify"}, args...)...).CombinedOutput()
	return exitCode(t, err), string(output)
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if ended == nil {
		return 0
	}
	return ended.ExitCode()
}

func (a *audited) against(other *service, args ...string) []string {
	return append([]string{"--socket", a.sidecar.Socket, "--go", other.GRPC, "--go-admin", other.Admin}, args...)
}

func mustSay(t *testing.T, code, want int, printed string, parts ...string) {
	t.Helper()
	if code != want {
		t.Errorf("exit code %d, not %d:\n%s", code, want, printed)
	}
	for _, part := range parts {
		if !strings.Contains(printed, part) {
			t.Errorf("%q is missing:\n%s", part, printed)
		}
	}
}

func TestVerifyOfASoundSidecarFindsNoDifference(t *testing.T) {
	t.Parallel()
	a := newAudited(t, rig.Legacy)
	code, printed := verify(t, a.against(a.service, "--admin", a.sidecar.Addresses.Admin, "--seed", "7", "--questions", "500")...)
	mustSay(t, code, 0, printed, "seed 7\n", "all                        500 asked      500 equal", "verdict: equal",
		"the sidecar about itself, 500 questions:", "complete true\n", "wrong 0\n", "note: 1 histories have an index\n")

	// Writes go on, on the direct port, about one account.
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := longEntries + 1; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := a.service.postLong(n, int64(n)); err != nil {
				stopped <- err
				return
			}
		}
	}()
	code, printed = verify(t, "--listen", a.sidecar.Listen, "--go", a.service.GRPC, "--go-admin", a.service.Admin,
		"--account", "long", "--questions", "300")
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	mustSay(t, code, 0, printed, "asking about 1 accounts and assets", "300 asked      300 equal")
}

func TestVerifyReportsASidecarThatLies(t *testing.T) {
	t.Parallel()
	a := newAudited(t, rig.Legacy)
	// One amount differs between the sidecar's ledger and this one. The sidecar is at the same position.
	truth := newPlace(t).walletd(rig.Off)
	truth.fill(1)
	code, printed := verify(t, a.against(truth, "--seed", "1", "--questions", "500", "--differences", "1000")...)
	mustSay(t, code, 1, printed, "difference 1: question ", "request: account_id:\"long\"", "credit_sum: sidecar ", ", Go ",
		"verdict: DIFFERENT")
	for _, method := range []string{"GetBalance", "GetStatistics", "GetTopCounterparties", "GetTimeSeries"} {
		if !strings.Contains(printed, ", "+method+" at position ") {
			t.Errorf("no difference of %s:\n%s", method, printed)
		}
	}
	again, second := verify(t, a.against(truth, "--seed", "1", "--questions", "500", "--differences", "1000")...)
	if again != code || len(second) != len(printed) {
		t.Errorf("the same seed finds something else:\n%s\nthen\n%s", printed, second)
	}
}

func TestVerifyComparesTheSidecarWithNobodyButGo(t *testing.T) {
	t.Parallel()
	a := newAudited(t, rig.SidecarMode)
	code, printed := verify(t, a.against(a.service)...)
	mustSay(t, code, 69, printed, "Go forwards BatchGetBalances, GetBalance", "verdict: incomplete")

	// This sidecar has no feed, so it gives no answer.
	lone, alone := newPlace(t).hotpathd(), newPlace(t).walletd(rig.Off)
	code, printed = verify(t, "--listen", lone.Listen, "--go", alone.GRPC, "--go-admin", alone.Admin)
	mustSay(t, code, 69, printed, "the sidecar gives no answer: Unavailable", "verdict: incomplete")

	code, printed = verify(t, "--listen", "127.0.0.1:1", "--go", a.service.GRPC, "--go-admin", "127.0.0.1:1")
	mustSay(t, code, 69, printed, "cannot read http://127.0.0.1:1/metrics")
	code, printed = verify(t, "--socket", "/s", "--go", "here")
	mustSay(t, code, 64, printed, "--go: \"here\" must be IP:PORT", "--go-admin IP:PORT is required")
}

func TestVerifyTellsHowFarItCame(t *testing.T) {
	t.Parallel()
	a := newAudited(t, rig.Legacy)
	endless := a.against(a.service, "--questions", "1000000", "--deadline-s", "1")
	code, printed := verify(t, endless...)
	mustSay(t, code, 69, printed, "ended by the deadline", "verdict: incomplete, no difference so far")

	command := exec.Command(binaries.hotpathd, append([]string{"verify"}, a.against(a.service, "--questions", "1000000")...)...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	var report strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fmt.Fprintln(&report, lines.Text())
		if strings.Contains(lines.Text(), "asking about") {
			if err := command.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustSay(t, exitCode(t, command.Wait()), 130, report.String(), "interrupted\n", "verdict: incomplete")
}
