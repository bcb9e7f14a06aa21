package readmodel

import (
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/exact"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Best keeps the ledger as immutable versions. Readers take the newest version by one atomic load and need no lock.
// Newest balances come from running counters. Statistics scan the entries of one (account, asset). A read at a past
// position uses the first entries of each log, up to that position.
type Best struct {
	// writing serializes writers. Readers do not use it.
	writing sync.Mutex
	ledger  *versions.Ledger
}

var _ ReadModel = (*Best)(nil)

// NewBest returns an empty model, at position 0.
func NewBest() *Best { return &Best{ledger: versions.New()} }

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

// log returns the entries that an account had in an asset; there may be none. It fails if the account had no entries in
// any asset.
func (m *Best) log(v *versions.Version, position uint64, accountID, asset string) (versions.Log, error) {
	account, ok := v.Account(accountID, position)
	if !ok {
		return versions.Log{}, ledger.ErrNoEntries
	}
	held, _ := account.Holding(asset)
	return held.Log, nil
}

type windowed interface {
	GetFromUs() int64
	GetToUs() int64
}

func windowOf(req windowed) exact.Window {
	return exact.Window{FromUS: req.GetFromUs(), ToUS: req.GetToUs()}
}
