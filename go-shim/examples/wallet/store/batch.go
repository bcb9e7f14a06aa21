package store

import (
	"maps"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// batch checks transactions one after the other, each as if those before it were posted. It collects what one SQLite
// transaction will write. Nobody sees any of it before it is written.
type batch struct {
	w       *writer
	next    uint64
	size    int
	staged  []stagedTransaction
	byID    map[string]int
	open    map[accountAsset]*refRow
	rows    []*refRow
	pending map[pendingKey]ledger.Int128
}

type stagedTransaction struct {
	tx       *walletv1.Transaction
	position uint64
	event    []byte
}

type accountAsset struct{ accountID, asset string }

type refRow struct {
	accountAsset
	refs refList
}

// pendingKey names one of the two pending counters of an (account, asset).
type pendingKey struct {
	accountID, asset string
	debit            bool
}

func newBatch(w *writer, capacity int) *batch {
	return &batch{
		w:       w,
		next:    w.next,
		staged:  make([]stagedTransaction, 0, capacity),
		byID:    make(map[string]int, capacity),
		open:    make(map[accountAsset]*refRow, capacity),
		pending: make(map[pendingKey]ledger.Int128),
	}
}

// verdict is the result of one transaction, valid if the batch gets written.
type verdict struct {
	position      uint64
	alreadyPosted bool
}

// add stages a validated transaction. If it fails, nothing is staged. Its error is a [ledger.Error] or comes from
// reading the store. With assumeNew it does not look the id up in the store; then the insert fails if the id is there
// already.
func (b *batch) add(tx *walletv1.Transaction, assumeNew bool) (verdict, error) {
	body := ledger.AppendBody(nil, tx)
	position, event, err := b.find(tx.GetTransactionId(), assumeNew)
	if err != nil {
		return verdict{}, err
	}
	if position != 0 {
		if !ledger.SameBody(event, body) {
			return verdict{}, ledger.ErrOtherBody
		}
		return verdict{position, true}, nil
	}
	if err := b.moveHolds(tx.GetEntries()); err != nil {
		return verdict{}, err
	}
	position = b.next
	b.next++
	event = ledger.AppendEvent(make([]byte, 0, len(body)+10), position, body)
	tx.Position = position
	b.byID[tx.GetTransactionId()] = len(b.staged)
	b.staged = append(b.staged, stagedTransaction{tx, position, event})
	b.size += len(event)
	for i, e := range tx.GetEntries() {
		b.addRef(accountAsset{e.GetAccountId(), e.GetAsset()}, refOf(position, i))
	}
	return verdict{position, false}, nil
}

func (b *batch) find(transactionID string, assumeNew bool) (uint64, []byte, error) {
	if i, ok := b.byID[transactionID]; ok {
		return b.staged[i].position, b.staged[i].event, nil
	}
	if assumeNew {
		return 0, nil, nil
	}
	return b.w.find(transactionID)
}

func (b *batch) addRef(key accountAsset, r ref) {
	row := b.open[key]
	if row == nil || row.refs.count == maxRefs {
		row = &refRow{accountAsset: key, refs: refList{packed: []byte{}}} // SQLite would store nil as NULL
		b.open[key] = row
		b.rows = append(b.rows, row)
	}
	row.refs.add(r)
}

// moveHolds changes the pending counters. If a counter would end below zero, it changes none and fails. Each such
// counter has a last release; the error names the first of these entries.
func (b *batch) moveHolds(entries []*walletv1.Entry) error {
	if !slices.ContainsFunc(entries, isPending) {
		return nil
	}
	after := make(map[pendingKey]ledger.Int128)
	lastRelease := make(map[pendingKey]int)
	for i, e := range entries {
		if !isPending(e) {
			continue
		}
		key := pendingKey{e.GetAccountId(), e.GetAsset(), e.GetAmount() < 0}
		held, err := b.held(after, key)
		if err != nil {
			return err
		}
		size := int64(ledger.Magnitude(e.GetAmount()))
		if e.GetPhase() == walletv1.Phase_PHASE_RELEASE {
			lastRelease[key] = i
			size = -size
		}
		after[key] = held.AddInt64(size)
	}
	var offending []int
	for key, i := range lastRelease {
		if after[key].Sign() < 0 {
			offending = append(offending, i)
		}
	}
	if len(offending) > 0 {
		return ledger.ReleasesTooMuch(slices.Min(offending))
	}
	maps.Copy(b.pending, after)
	return nil
}

func isPending(e *walletv1.Entry) bool { return e.GetPhase() != walletv1.Phase_PHASE_POSTED }

func (b *batch) held(after map[pendingKey]ledger.Int128, key pendingKey) (ledger.Int128, error) {
	if amount, ok := after[key]; ok {
		return amount, nil
	}
	if amount, ok := b.pending[key]; ok {
		return amount, nil
	}
	return b.w.loadPending(key)
}
