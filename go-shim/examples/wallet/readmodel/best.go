package readmodel

import (
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/exact"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Best keeps the ledger as immutable versions. Readers take the newest version by one atomic load and need no lock.
// Newest balances come from running counters. Statistics come from the indexed runs of one (account, asset), or from a
// scan of its entries if there is no index. A read at a past position uses the entries up to that position.
type Best struct {
	// writing serializes writers. Readers do not use it.
	writing sync.Mutex
	ledger  *versions.Ledger
}

var _ ReadModel = (*Best)(nil)

// NewBest returns an empty model with an index, at position 0.
func NewBest() *Best { return newIndexed(runs.DefaultShape()) }

// NewBestScan returns an empty model without an index, at position 0.
func NewBestScan() *Best { return &Best{ledger: versions.New()} }

func newIndexed(shape runs.Shape) *Best { return &Best{ledger: versions.NewIndexed(shape)} }

// Apply implements [ReadModel].
func (m *Best) Apply(tx *walletv1.Transaction) {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.ledger.Apply(tx)
}

// Position implements [ReadModel].
func (m *Best) Position() uint64 { return m.ledger.Newest().Position }

// Size implements [ReadModel].
func (m *Best) Size() Size {
	v := m.ledger.Newest()
	return Size{Accounts: v.Accounts, Entries: v.Entries}
}

// resolve returns the newest version and the position to answer at.
func (m *Best) resolve(at uint64) (v *versions.Version, position uint64) {
	v = m.ledger.Newest()
	if at == Newest {
		return v, v.Position
	}
	return v, at
}

// holding returns what an account had in an asset; it may be nothing. It fails if the account had no entries in any
// asset.
func (m *Best) holding(v *versions.Version, position uint64, accountID, asset string) (versions.Holding, error) {
	account, ok := v.Account(accountID, position)
	if !ok {
		return versions.Holding{}, ledger.ErrNoEntries
	}
	held, ok := account.Holding(asset)
	if !ok {
		return versions.Holding{}, nil
	}
	return held, nil
}

type windowed interface {
	GetFromUs() int64
	GetToUs() int64
}

func windowOf(req windowed) exact.Window {
	return exact.Window{FromUS: req.GetFromUs(), ToUS: req.GetToUs()}
}
