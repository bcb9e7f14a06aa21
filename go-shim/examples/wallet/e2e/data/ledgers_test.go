//go:build datatest

package data

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

// shortDir returns a directory with a short path, because the path of a Unix socket may have only about 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestBerkaEveryRowHasTheBanksOwnBalance compares the balance that the bank printed after every row with ours at the
// row's position. It asks legacy Go, which answers at any past position. After an import the sidecar can't: it keeps no
// history of what it loaded when it caught up.
func TestBerkaEveryRowHasTheBanksOwnBalance(t *testing.T) {
	dir, all := shortDir(t), rows(t, "berka")
	if len(all) != 46_997 {
		t.Fatalf("%d rows, not 46,997", len(all))
	}
	skipped := skippedRows(t, imported(t, dir, "berka", "berka", len(all)))
	if want := len(all) - int(kept(all)); skipped != want {
		t.Errorf("%d rows skipped, not %d", skipped, want)
	}
	s := serve(t, dir, kept(all))
	s.rowsHaveTheBanksBalance("legacy", s.legacy, all)
	final := make(map[string]int64)
	for _, one := range all {
		final["berka:"+one.account] = one.balance
	}
	s.finalBalances(final)
}

// TestBerkaPostedLiveEveryRowHasTheBanksOwnBalanceOnTheSidecar posts the same rows while both sides serve. Then the
// sidecar has every position too.
func TestBerkaPostedLiveEveryRowHasTheBanksOwnBalanceOnTheSidecar(t *testing.T) {
	all := rows(t, "berka")
	s := serve(t, shortDir(t), 0)
	s.postInOrderOfEachAccount(all)
	s.head = kept(all)
	s.rowsHaveTheBanksBalance("sidecar", s.direct, all)
	s.rowsHaveTheBanksBalance("legacy", s.legacy, all)
}

func TestCdnowBalancesAndSkippedRows(t *testing.T) {
	dir, all := shortDir(t), rows(t, "cdnow")
	if skipped := skippedRows(t, imported(t, dir, "cdnow", "cdnow", len(all))); skipped != 80 {
		t.Errorf("%d rows skipped, not 80", skipped)
	}
	final := make(map[string]int64)
	for _, one := range all {
		if !one.skipped {
			final["cdnow:"+one.account] += one.amount
		}
	}
	if len(final) != 23_502 {
		t.Errorf("%d accounts, not 23,502", len(final))
	}
	serve(t, dir, uint64(len(all)-80)).finalBalances(final)
}

const (
	ukRows    = 2_064_487
	ukSkipped = 9
	// ofEach is how many questions of each hot read are compared.
	ofEach = 1000
	// biggest is the number of largest accounts, which get every tenth question.
	biggest = 10
)

func TestUKSpendingIsLoadedAndAnsweredAlike(t *testing.T) {
	dir := shortDir(t)
	if skipped := skippedRows(t, imported(t, dir, "uk_spending", "uk", ukRows)); skipped != ukSkipped {
		t.Errorf("%d rows skipped, not %d", skipped, ukSkipped)
	}
	s := serve(t, dir, ukRows-ukSkipped)
	seed := uint64(20101201)
	random := rand.New(rand.NewPCG(seed, 0))
	questions, err := mix.Survey(t.Context(), walletv1.NewWalletServiceClient(s.legacy[0]), s.head, 5000, random)
	if err != nil {
		t.Fatal(err)
	}
	for m := range ask.Hot {
		var took [2]atomic.Int64
		timed := func(side int, conn *grpc.ClientConn, question ask.Question) ask.Answer {
			start := time.Now()
			defer func() { took[side].Add(int64(time.Since(start))) }()
			return put(conn, question, ask.At(s.head))
		}
		s.each(ofEach, ask.Name(m)+": equal answers", func(n, asker int) string {
			random := rand.New(rand.NewPCG(seed, uint64(m*ofEach+n+1)))
			question := questions.Question(random, m)
			if n%10 == 0 {
				question = questions.About(random, m, questions.Busiest(biggest)[n/10%biggest])
			}
			sidecar := timed(0, s.direct[asker%len(s.direct)], question)
			legacy := timed(1, s.legacy[asker%len(s.legacy)], question)
			if what := ask.Differ(legacy, sidecar); what != "" || !sidecar.Decided() {
				return fmt.Sprintf("seed %d, question %d: %s\n%s\nlegacy %s\nsidecar %s", seed, n, what, question.Text(),
					question.AnswerText(legacy), question.AnswerText(sidecar))
			}
			return ""
		})
		t.Logf("%s: mean time to an answer: sidecar %v, legacy %v (%d in flight together)", ask.Name(m),
			time.Duration(took[0].Load()/ofEach).Round(time.Microsecond),
			time.Duration(took[1].Load()/ofEach).Round(time.Microsecond), askers)
	}
	s.ukFinalBalances(t)
}

// ukFinalBalances computes all balances from both sides of each payment in the file, and checks them.
func (s *served) ukFinalBalances(t *testing.T) {
	t.Helper()
	final := make(map[string]int64)
	for _, one := range rows(t, "uk_spending") {
		if !one.skipped {
			final["uk:"+one.account] += one.amount
			final["uk:"+one.counterparty] -= one.amount
		}
	}
	s.finalBalances(final)
}
