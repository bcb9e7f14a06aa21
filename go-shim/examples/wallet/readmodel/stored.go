package readmodel

import (
	"context"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// Stored keeps nothing in memory and reads the tables of the store. Newest balances come from one row per (account,
// asset), which each commit updates. Everything else comes from a scan of the entries of one (account, asset), in one
// read transaction per answer. It takes no more memory for a long account than for a short one, apart from up to 8 MiB
// for percentiles and a total for each counterparty of [Stored.GetTopCounterparties].
//
// It retains what the other models retain, all positions from 0 on.
//
// Its reads can fail for reasons that those of the other models don't have: with [store.ErrBusy], with the error of the
// context, or with one of the file's. Such an error holds at no position.
type Stored struct {
	ledger *store.Store
	ctx    context.Context
}

var (
	_ Bounded           = Stored{}
	_ store.TableReader = Stored{}
)

// NewStored returns a model of the ledger, which must be loaded with this model before the first read.
func NewStored(from *store.Store) Stored { return Stored{from, context.Background()} }

// Within implements [Bounded].
func (m Stored) Within(ctx context.Context) ReadModel {
	m.ctx = ctx
	return m
}

// ReadsTables implements [store.TableReader].
func (m Stored) ReadsTables() {}

// Apply implements [ReadModel]. There is nothing to do: the transaction is in the tables already.
func (m Stored) Apply(*walletv1.Transaction) {}

// Position implements [ReadModel]. It stands still once another model has taken the place of this one.
func (m Stored) Position() uint64 { return m.ledger.TablePosition() }

// Size implements [ReadModel].
func (m Stored) Size() Size {
	accounts, entries := m.ledger.TableSize()
	return Size{Accounts: accounts, Entries: entries}
}

// look opens a view for one answer.
func look[Resp any](m Stored, at uint64, answer func(v *store.View) (*Resp, error)) (*Resp, uint64, error) {
	v, err := m.ledger.View(m.ctx, at)
	if err != nil {
		return nil, 0, err
	}
	defer v.Close()
	resp, err := answer(v)
	if err != nil {
		return nil, v.Position(), err
	}
	return resp, v.Position(), nil
}

// holdings returns the holdings of an account. It fails if there are none.
func holdings(v *store.View, accountID string) ([]store.Holding, error) {
	held, err := v.Holdings(accountID)
	if err == nil && len(held) == 0 {
		err = ledger.ErrNoEntries
	}
	return held, err
}

// sole returns the holding of an asset. If the account has none, it is one without entries.
func sole(held []store.Holding, asset string) []store.Holding {
	i := slices.IndexFunc(held, func(h store.Holding) bool { return h.Asset == asset })
	if i < 0 {
		return []store.Holding{{Asset: asset}}
	}
	return held[i : i+1]
}

// scan visits the POSTED entries of an account and asset. It fails if the account has no entries in any asset.
func scan(v *store.View, accountID, asset string, fromUS, toUS int64, visit func(occurredAtUS, amount, counterparty int64)) error {
	held, err := holdings(v, accountID)
	if err != nil {
		return err
	}
	return v.Posted(&sole(held, asset)[0], fromUS, toUS, visit)
}
