package readmodel

import (
	"fmt"
	"sort"
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Legacy keeps each account's entries in booking order, and running counters for each of its assets, behind one lock.
// Newest balances come from the counters. Everything else comes from a scan of the account's entries.
type Legacy struct {
	mu       sync.RWMutex
	position uint64
	entries  uint64
	accounts map[string]*account
	// names holds one copy of every id, so that all entries of an asset share the bytes of its name.
	names map[string]string
}

type account struct {
	entries  []entry
	counters map[string]*counters
}

type entry struct {
	position     uint64
	occurredAtUS int64
	amount       int64
	asset        string
	counterparty string
	phase        walletv1.Phase
}

var _ ReadModel = (*Legacy)(nil)

// NewLegacy returns an empty model, at position 0.
func NewLegacy() *Legacy {
	return &Legacy{accounts: make(map[string]*account), names: make(map[string]string)}
}

// Apply implements [ReadModel].
func (m *Legacy) Apply(tx *walletv1.Transaction) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if tx.GetPosition() != m.position+1 {
		panic(fmt.Sprintf("readmodel: position %d after %d", tx.GetPosition(), m.position))
	}
	for _, e := range tx.GetEntries() {
		m.book(tx, e)
	}
	m.entries += uint64(len(tx.GetEntries()))
	m.position = tx.GetPosition()
}

func (m *Legacy) book(tx *walletv1.Transaction, e *walletv1.Entry) {
	acc := m.accounts[e.GetAccountId()]
	if acc == nil {
		acc = &account{counters: make(map[string]*counters)}
		m.accounts[m.intern(e.GetAccountId())] = acc
	}
	booked := entry{
		position:     tx.GetPosition(),
		occurredAtUS: tx.GetOccurredAtUs(),
		amount:       e.GetAmount(),
		asset:        m.intern(e.GetAsset()),
		counterparty: m.intern(e.GetCounterparty()),
		phase:        e.GetPhase(),
	}
	acc.entries = append(acc.entries, booked)
	c := acc.counters[booked.asset]
	if c == nil {
		c = new(counters)
		acc.counters[booked.asset] = c
	}
	c.add(&booked)
}

func (m *Legacy) intern(name string) string {
	if known, ok := m.names[name]; ok {
		return known
	}
	m.names[name] = name
	return name
}

// Position implements [ReadModel].
func (m *Legacy) Position() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.position
}

// Size implements [ReadModel].
func (m *Legacy) Size() Size {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return Size{Accounts: uint64(len(m.accounts)), Entries: m.entries}
}

// resolve returns the position to answer at. The caller must hold the lock.
func (m *Legacy) resolve(at uint64) uint64 {
	if at == Newest {
		return m.position
	}
	return at
}

// entriesAt returns the entries that the account had at a position. It fails if there were none. The caller must hold
// the lock.
func (m *Legacy) entriesAt(accountID string, position uint64) ([]entry, error) {
	acc := m.accounts[accountID]
	if acc == nil {
		return nil, ledger.ErrNoEntries
	}
	held := acc.entries
	if position < m.position {
		held = held[:sort.Search(len(held), func(i int) bool { return held[i].position > position })]
	}
	if len(held) == 0 {
		return nil, ledger.ErrNoEntries
	}
	return held, nil
}

// isPosted returns whether the statistics of an asset include the entry.
func (e *entry) isPosted(asset string) bool {
	return e.phase == walletv1.Phase_PHASE_POSTED && e.asset == asset
}
