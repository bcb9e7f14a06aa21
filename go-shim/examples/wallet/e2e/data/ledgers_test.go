//go:build datatest

package data

import (
	"os"
	"testing"
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
	copied := copyLedger(t, dir)
	s := serve(t, dir, kept(all))
	s.rowsHaveTheBanksBalance("legacy", s.legacy, all)
	s.everySideAnswersAlike(copied, s.inquire(1993, ofSmall, edgesOf(all, "berka:", "CZK", false)))
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
	copied := copyLedger(t, dir)
	s := serve(t, dir, uint64(len(all)-80))
	s.everySideAnswersAlike(copied, s.inquire(1997, ofSmall, edgesOf(all, "cdnow:", "USD", false)))
	s.finalBalances(final)
}

const (
	ukRows    = 2_064_487
	ukSkipped = 9
)

func TestUKSpendingIsLoadedAndAnsweredAlike(t *testing.T) {
	dir := shortDir(t)
	if skipped := skippedRows(t, imported(t, dir, "uk_spending", "uk", ukRows)); skipped != ukSkipped {
		t.Errorf("%d rows skipped, not %d", skipped, ukSkipped)
	}
	copied := copyLedger(t, dir)
	s := serve(t, dir, ukRows-ukSkipped)
	all := rows(t, "uk_spending")
	s.everySideAnswersAlike(copied, s.inquire(20101201, ofLarge, edgesOf(all, "uk:", "GBP", true)))
	s.ukFinalBalances(all)
}

// ukFinalBalances computes all balances from both sides of each payment in the file, and checks them.
func (s *served) ukFinalBalances(all []row) {
	s.t.Helper()
	final := make(map[string]int64)
	for _, one := range all {
		if !one.skipped {
			final["uk:"+one.account] += one.amount
			final["uk:"+one.counterparty] -= one.amount
		}
	}
	s.finalBalances(final)
}
