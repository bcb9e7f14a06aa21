package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// recorder is a read model that keeps the transactions in the order in which it got them.
type recorder struct {
	mu      sync.Mutex
	applied []*walletv1.Transaction
}

func (r *recorder) Apply(tx *walletv1.Transaction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = append(r.applied, tx)
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.applied)
}

func tempPath(t testing.TB) string { return filepath.Join(t.TempDir(), "wallet.db") }

// openLoaded opens and loads a store, and closes it when the test ends.
func openLoaded(t testing.TB, path string, options Options) (*Store, *recorder) {
	t.Helper()
	s := openOnly(t, path, options)
	model := new(recorder)
	if err := s.Load(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	return s, model
}

func openOnly(t testing.TB, path string, options Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// deposit returns a valid transaction of one entry.
func deposit(n int) *walletv1.Transaction {
	return &walletv1.Transaction{
		TransactionId: fmt.Sprintf("tx-%d", n), OccurredAtUs: int64(n), External: true,
		Entries: []*walletv1.Entry{{AccountId: fmt.Sprintf("acct-%d", n%3), Asset: "GBP", Amount: int64(n + 1), Phase: walletv1.Phase_PHASE_POSTED}},
	}
}

func pendingTx(id string, phase walletv1.Phase, amounts ...int64) *walletv1.Transaction {
	tx := &walletv1.Transaction{TransactionId: id, External: true}
	for _, amount := range amounts {
		tx.Entries = append(tx.Entries, &walletv1.Entry{AccountId: "a", Asset: "GBP", Amount: amount, Phase: phase})
	}
	return tx
}

func mustPost(t testing.TB, s *Store, tx *walletv1.Transaction) uint64 {
	t.Helper()
	position, _, err := s.Post(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// txs returns count deposits, from number first on.
func txs(first, count int) []*walletv1.Transaction {
	made := make([]*walletv1.Transaction, count)
	for i := range made {
		made[i] = deposit(first + i)
	}
	return made
}
