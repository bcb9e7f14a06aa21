package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// tableWriter writes the read tables, inside the SQLite transactions of the writer, whose connection it uses.
type tableWriter struct {
	// committed is what the tables hold. staged is what they will hold once the open transaction is committed.
	committed, staged tableMarks
	// shown is where other goroutines find a copy of committed.
	shown *atomic.Pointer[tableMarks]

	hasAccount, findBalance, insertBalance, updateBalance *sql.Stmt
	findName, insertName, insertEntry, saveMarks          *sql.Stmt
}

func newTableWriter(
	ctx context.Context, conn *sql.Conn, marks tableMarks, shown *atomic.Pointer[tableMarks],
) (*tableWriter, error) {
	t := &tableWriter{staged: marks, shown: shown}
	t.commit()
	for text, stmt := range map[string]**sql.Stmt{
		`SELECT EXISTS (SELECT 1 FROM balances WHERE account_id = ?)`: &t.hasAccount,
		`SELECT holding, credits_posted, debits_posted, credits_pending, debits_pending, entry_count, last_occurred_at_us
			FROM balances WHERE account_id = ? AND asset = ?`: &t.findBalance,
		`INSERT INTO balances VALUES (?,?,?,?, 0, 0, 0, 0, 0, 0)`: &t.insertBalance,
		`UPDATE balances SET credits_posted = ?, debits_posted = ?, credits_pending = ?, debits_pending = ?,
			entry_count = ?, last_occurred_at_us = ? WHERE account_id = ? AND asset = ?`: &t.updateBalance,
		`SELECT number FROM counterparties WHERE name = ?`:                                                     &t.findName,
		`INSERT INTO counterparties (number, name) VALUES (?,?)`:                                               &t.insertName,
		`INSERT INTO entries (holding, occurred_at_us, ref, amount, phase, counterparty) VALUES (?,?,?,?,?,?)`: &t.insertEntry,
		`UPDATE read_marks SET position = ?, entries = ?, accounts = ?, holdings = ?, counterparties = ?`:      &t.saveMarks,
	} {
		var err error
		if *stmt, err = conn.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare: %w", err), t.close())
		}
	}
	return t, nil
}

func (t *tableWriter) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{
		t.hasAccount, t.findBalance, t.insertBalance, t.updateBalance, t.findName, t.insertName, t.insertEntry, t.saveMarks,
	} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

// commit must be called once what write wrote is committed.
func (t *tableWriter) commit() {
	t.committed = t.staged
	copied := t.committed
	t.shown.Store(&copied)
}

// tableBatch is what one call of write changes.
type tableBatch struct {
	holdings map[accountAsset]*holdingRow
	names    map[string]int64
	entries  []entryRow
}

// holdingRow is a row of balances.
type holdingRow struct {
	number int64
	Counters
}

type entryRow struct {
	holding, occurredAtUS       int64
	ref                         ref
	amount, phase, counterparty int64
}

// write adds transactions to the tables. It changes nothing that outlives the open SQLite transaction; if that is rolled
// back, the next call begins anew.
func (t *tableWriter) write(ctx context.Context, txs []*walletv1.Transaction) error {
	if len(txs) == 0 {
		return nil
	}
	t.staged = t.committed
	b := &tableBatch{holdings: make(map[accountAsset]*holdingRow), names: map[string]int64{"": 0}}
	for _, tx := range txs {
		if tx.GetPosition() != t.staged.position+1 {
			return fmt.Errorf("%w: position %d comes after %d in the read tables", ErrCorrupt, tx.GetPosition(), t.staged.position)
		}
		t.staged.position = tx.GetPosition()
		for i, e := range tx.GetEntries() {
			if err := t.book(ctx, b, tx, i, e); err != nil {
				return err
			}
		}
	}
	if err := t.saveBalances(ctx, b); err != nil {
		return err
	}
	if err := t.saveEntries(ctx, b); err != nil {
		return err
	}
	m := &t.staged
	_, err := t.saveMarks.ExecContext(ctx, int64(m.position), int64(m.entries), int64(m.accounts), m.holdings, m.counterparties)
	return err
}

func (t *tableWriter) book(ctx context.Context, b *tableBatch, tx *walletv1.Transaction, index int, e *walletv1.Entry) error {
	held, err := t.holding(ctx, b, accountAsset{e.GetAccountId(), e.GetAsset()}, tx.GetPosition())
	if err != nil {
		return err
	}
	counterparty, err := t.number(ctx, b, e.GetCounterparty())
	if err != nil {
		return err
	}
	held.add(tx.GetOccurredAtUs(), e)
	b.entries = append(b.entries, entryRow{
		held.number, tx.GetOccurredAtUs(), refOf(tx.GetPosition(), index), e.GetAmount(), int64(e.GetPhase()), counterparty,
	})
	t.staged.entries++
	return nil
}

// holding returns a row of balances. It adds the row if this is the first entry of its (account, asset).
func (t *tableWriter) holding(ctx context.Context, b *tableBatch, key accountAsset, position uint64) (*holdingRow, error) {
	if row := b.holdings[key]; row != nil {
		return row, nil
	}
	row, err := t.load(ctx, key)
	if errors.Is(err, sql.ErrNoRows) {
		row, err = t.add(ctx, key, position)
	}
	if err != nil {
		return nil, err
	}
	b.holdings[key] = row
	return row, nil
}

func (t *tableWriter) load(ctx context.Context, key accountAsset) (*holdingRow, error) {
	row := new(holdingRow)
	var stored storedCounters
	if err := t.findBalance.QueryRowContext(ctx, key.accountID, key.asset).Scan(stored.into(&row.number)...); err != nil {
		return nil, err
	}
	var err error
	row.Counters, err = stored.counters()
	return row, err
}

func (t *tableWriter) add(ctx context.Context, key accountAsset, position uint64) (*holdingRow, error) {
	var known bool
	if err := t.hasAccount.QueryRowContext(ctx, key.accountID).Scan(&known); err != nil {
		return nil, err
	}
	if !known {
		t.staged.accounts++
	}
	t.staged.holdings++
	_, err := t.insertBalance.ExecContext(ctx, key.accountID, key.asset, t.staged.holdings, int64(position))
	return &holdingRow{number: t.staged.holdings}, err
}

// number returns the number of a counterparty. 0 means none.
func (t *tableWriter) number(ctx context.Context, b *tableBatch, name string) (number int64, err error) {
	if number, ok := b.names[name]; ok {
		return number, nil
	}
	err = t.findName.QueryRowContext(ctx, name).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		t.staged.counterparties++
		number = t.staged.counterparties
		_, err = t.insertName.ExecContext(ctx, number, name)
	}
	b.names[name] = number
	return number, err
}

// saveBalances writes in the order of the table, so that neighbours share a page.
func (t *tableWriter) saveBalances(ctx context.Context, b *tableBatch) error {
	keys := make([]accountAsset, 0, len(b.holdings))
	for key := range b.holdings {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b accountAsset) int {
		return cmp.Or(strings.Compare(a.accountID, b.accountID), strings.Compare(a.asset, b.asset))
	})
	for _, key := range keys {
		c := &b.holdings[key].Counters
		_, err := t.updateBalance.ExecContext(ctx, counterValue(c.CreditsPosted), counterValue(c.DebitsPosted),
			counterValue(c.CreditsPending), counterValue(c.DebitsPending), int64(c.Entries), c.LastUS, key.accountID, key.asset)
		if err != nil {
			return err
		}
	}
	return nil
}

// saveEntries writes in the order of the table, as saveBalances does.
func (t *tableWriter) saveEntries(ctx context.Context, b *tableBatch) error {
	slices.SortFunc(b.entries, func(a, b entryRow) int {
		return cmp.Or(cmp.Compare(a.holding, b.holding), cmp.Compare(a.occurredAtUS, b.occurredAtUS), cmp.Compare(a.ref, b.ref))
	})
	for i := range b.entries {
		e := &b.entries[i]
		_, err := t.insertEntry.ExecContext(ctx, e.holding, e.occurredAtUS, int64(e.ref), e.amount, e.phase, e.counterparty)
		if err != nil {
			return err
		}
	}
	return nil
}
