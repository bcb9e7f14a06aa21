package readmodel

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// openStored returns a loaded store with these transactions, and its model.
func openStored(t testing.TB, booked []*walletv1.Transaction) (*store.Store, Stored) {
	t.Helper()
	from, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "wallet.db"), store.Options{Views: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	})
	if done, err := from.AppendBatch(t.Context(), booked, false, nil); err != nil || done.Posted != len(booked) {
		t.Fatalf("posted %d of %d: %v, %v", done.Posted, len(booked), done.Rejected, err)
	}
	m := NewStored(from)
	if err := from.Load(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	return from, m
}

// crowd returns transactions that give account "a" so many POSTED entries, each with another counterparty.
func crowd(entries int) (booked []*walletv1.Transaction) {
	for n := 0; n < entries; {
		tx := &walletv1.Transaction{TransactionId: fmt.Sprint(n), OccurredAtUs: int64(n), External: true}
		for ; n < entries && len(tx.GetEntries()) < ledger.MaxEntries; n++ {
			tx.Entries = append(tx.Entries, &walletv1.Entry{
				AccountId: "a", Asset: "GBP", Amount: int64(1 + n%7), Phase: walletv1.Phase_PHASE_POSTED, Counterparty: fmt.Sprint("c", n),
			})
		}
		booked = append(booked, tx)
	}
	return booked
}

func always(percentiles ...uint32) *walletv1.GetStatisticsRequest {
	return &walletv1.GetStatisticsRequest{
		AccountId: "a", Asset: "GBP", FromUs: ledger.MinTimeUS, ToUs: ledger.MaxTimeUS, Percentiles: percentiles,
	}
}

func TestStoredEndsWithTheCaller(t *testing.T) {
	_, m := openStored(t, crowd(10_000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Within(ctx).GetStatistics(Newest, always()); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has left: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Microsecond)
	defer cancel()
	if _, _, err := m.Within(ctx).GetTimeSeries(Newest, &walletv1.GetTimeSeriesRequest{
		AccountId: "a", Asset: "GBP", ToUs: 1, Step: walletv1.Step_STEP_DAY,
	}); err == nil {
		t.Error("nothing can be read in a microsecond")
	}
	// All connections must have come back, in a state to go on.
	for range 5 {
		answer, at, err := m.GetStatistics(Newest, always(5000))
		if err != nil || at != 10 || answer.GetCreditCount() != 10_000 || answer.GetDistinctCounterparties() != 10_000 {
			t.Errorf("at %d: %v, %v", at, answer, err)
		}
	}
}

func TestEqualTotalsAreInOrderOfTheirNames(t *testing.T) {
	// The numbers of the counterparties are in another order than their names, and 5,000 totals are equal to the last.
	booked := crowd(5_000)
	for _, tx := range booked {
		for _, e := range tx.GetEntries() {
			e.Amount = 3
		}
	}
	legacy := NewLegacy()
	for n, tx := range booked {
		tx.Position = uint64(n + 1)
		legacy.Apply(tx)
	}
	_, m := openStored(t, booked)
	for _, limit := range []uint32{1, 7, 100} {
		compare(t, Newest, legacy.GetTopCounterparties, m.GetTopCounterparties, &walletv1.GetTopCounterpartiesRequest{
			AccountId: "a", Asset: "GBP", ToUs: 1 << 40, Limit: limit,
		})
	}
}

func TestASetOfNumbersGrows(t *testing.T) {
	var s numberSet
	for _, n := range []int64{0, 1, 63, 64, 1, 5000, 0, 64} {
		s.add(n)
	}
	if s.count() != 4 {
		t.Errorf("%d numbers", s.count())
	}
}
