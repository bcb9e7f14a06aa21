// Package modeltest makes any read model for a test, with a way to book transactions.
package modeltest

import (
	"context"
	"path/filepath"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// New returns an empty read model, and a function that books the transaction after its last one. If the model reads a
// store, the store is in a temporary folder and books only what is valid.
func New(t testing.TB, name string) (model readmodel.ReadModel, book func(tx *walletv1.Transaction)) {
	t.Helper()
	if name != readmodel.NameStore {
		inMemory, err := readmodel.New(name)
		if err != nil {
			t.Fatal(err)
		}
		return inMemory, inMemory.Apply
	}
	ledger := Open(t)
	model = Load(t, ledger, name)
	return model, func(tx *walletv1.Transaction) {
		t.Helper()
		want := ledger.Head() + 1
		if position, _, err := ledger.Post(context.Background(), tx); err != nil || position != want {
			t.Fatalf("posted at %d, not %d: %v", position, want, err)
		}
	}
}

// Open returns a new store, which is closed when the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	ledger, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "wallet.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return ledger
}

// Load loads a store into a read model.
func Load(t testing.TB, ledger *store.Store, name string) readmodel.ReadModel {
	t.Helper()
	model, err := readmodel.For(ledger, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Load(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	return model
}
