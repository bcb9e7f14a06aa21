package readmodel

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func pair(position uint64) *walletv1.Transaction {
	return &walletv1.Transaction{Position: position, TransactionId: fmt.Sprint(position), OccurredAtUs: int64(position), Entries: []*walletv1.Entry{
		{AccountId: "a", Asset: "GBP", Amount: -1, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: "b"},
		{AccountId: "b", Asset: "GBP", Amount: 1, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: "a"},
	}}
}

func newModel(t testing.TB, name string) ReadModel {
	t.Helper()
	m, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReadersSeeWholeTransactionsWhileTheLedgerGrows checks that no reader sees half of a transaction, and that an
// answer at a position does not change later. Other tests compare the answers with the oracle and the golden files.
func TestReadersSeeWholeTransactionsWhileTheLedgerGrows(t *testing.T) {
	for _, name := range Names() {
		m := newModel(t, name)
		readWhileItGrows(t, m, 2000, m.Apply)
	}
	from, m := openStored(t, nil)
	readWhileItGrows(t, m, 300, func(tx *walletv1.Transaction) {
		if _, _, err := from.Post(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	})
}

func readWhileItGrows(t *testing.T, m ReadModel, last uint64, book func(*walletv1.Transaction)) {
	t.Helper()
	book(pair(1))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for m.Position() < last {
				checkCut(t, m)
			}
		})
	}
	for p := uint64(2); p <= last; p++ {
		book(pair(p))
	}
	wg.Wait()
	if size := m.Size(); size != (Size{Accounts: 2, Entries: 2 * last}) {
		t.Errorf("%T: %+v", m, size)
	}
}

func checkCut(t *testing.T, m ReadModel) {
	t.Helper()
	both, at, err := m.BatchGetBalances(Newest, &walletv1.BatchGetBalancesRequest{AccountIds: []string{"a", "b"}})
	if err != nil {
		t.Error(err)
		return
	}
	a, b := both.GetAccounts()[0].GetBalances()[0], both.GetAccounts()[1].GetBalances()[0]
	if a.GetPosted()+b.GetPosted() != 0 || a.GetEntryCount() != at || a.GetLastOccurredAtUs() != int64(at) {
		t.Errorf("%T at %d: %v and %v", m, at, a, b)
	}
	again, _, err := m.BatchGetBalances(at, &walletv1.BatchGetBalancesRequest{AccountIds: []string{"a", "b"}})
	if err != nil || !proto.Equal(both, again) {
		t.Errorf("%T at %d: %v, then %v, %v", m, at, both, again, err)
	}
}

func TestApplyRefusesGaps(t *testing.T) {
	refuses := func(name string) {
		defer func() {
			if got := fmt.Sprint(recover()); got != "readmodel: position 2 after 0" {
				t.Errorf("%s: got %s", name, got)
			}
		}()
		newModel(t, name).Apply(pair(2))
	}
	for _, name := range Names() {
		refuses(name)
	}
}

func TestNamesAreThoseThatNewKnows(t *testing.T) {
	for _, name := range Names() {
		if _, err := New(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := New("best of all"); err == nil {
		t.Error("an unknown name must be refused")
	}
}
