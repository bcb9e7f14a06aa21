package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// writer is the one connection that writes, with its statements. It is not safe for concurrent use.
type writer struct {
	conn *sql.Conn
	// next is the position that the next transaction gets.
	next uint64
	// tables is nil unless the read tables are kept.
	tables *tableWriter
	// alone keeps a batch and a view apart if both have to use this connection.
	alone sync.Mutex
	// broken is set when SQLite's last position does not match next after a failure. Then nothing may be written.
	broken error

	findID, findPending                                        *sql.Stmt
	insertEvent, insertID, insertRefs, putPending, dropPending *sql.Stmt
	putMark                                                    *sql.Stmt
}

func newWriter(ctx context.Context, conn *sql.Conn) (*writer, error) {
	w := &writer{conn: conn}
	for text, stmt := range map[string]**sql.Stmt{
		`SELECT position, event FROM transaction_ids JOIN events USING (position) WHERE transaction_id = ?`: &w.findID,
		`SELECT amount FROM pending WHERE account_id = ? AND asset = ? AND debit = ?`:                       &w.findPending,
		`INSERT INTO events (position, event) VALUES (?, ?)`:                                                &w.insertEvent,
		`INSERT INTO transaction_ids (transaction_id, position) VALUES (?, ?)`:                              &w.insertID,
		`INSERT INTO account_refs (account_id, asset, first_ref, refs) VALUES (?,?,?,?)`:                    &w.insertRefs,
		`INSERT OR REPLACE INTO pending (account_id, asset, debit, amount) VALUES (?,?,?,?)`:                &w.putPending,
		`DELETE FROM pending WHERE account_id = ? AND asset = ? AND debit = ?`:                              &w.dropPending,
		`INSERT OR REPLACE INTO import_marks (source, records, skipped, complete) VALUES (?,?,?,?)`:         &w.putMark,
	} {
		var err error
		if *stmt, err = conn.PrepareContext(ctx, text); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	last, err := lastPosition(ctx, conn)
	if err != nil {
		return nil, err
	}
	w.next = last + 1
	return w, nil
}

func lastPosition(ctx context.Context, conn *sql.Conn) (uint64, error) {
	var last sql.NullInt64
	if err := conn.QueryRowContext(ctx, `SELECT max(position) FROM events`).Scan(&last); err != nil {
		return 0, fmt.Errorf("read the last position: %w", err)
	}
	return uint64(last.Int64), nil
}

// close copies the write-ahead log into the database, so that one file is the whole store.
func (w *writer) close() error {
	errs := make([]error, 0, 12)
	if w.tables != nil {
		errs = append(errs, w.tables.close())
	}
	for _, stmt := range []*sql.Stmt{
		w.findID, w.findPending, w.insertEvent, w.insertID, w.insertRefs, w.putPending, w.dropPending, w.putMark,
	} {
		errs = append(errs, stmt.Close())
	}
	// On a full disk this fails. That does no harm, because SQLite reads the log when the store is opened next.
	_, _ = w.conn.ExecContext(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(append(errs, w.conn.Close())...)
}

// transact makes a batch durable, as a whole or not at all: fill stages it, then it is written and committed. All of
// this, including fill's lookups, is one SQLite transaction, because to take SQLite's locks for each lookup would cost
// more than the lookup. It must not be cancelled halfway, so it takes no context.
func (w *writer) transact(b *batch, mark func() Mark, fill func() error) error {
	if w.broken != nil {
		return w.broken
	}
	w.alone.Lock()
	defer w.alone.Unlock()
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := fill()
	if err == nil {
		err = w.insert(ctx, b)
	}
	if err == nil && mark != nil {
		m := mark()
		_, err = w.putMark.ExecContext(ctx, m.Source, m.Records, m.Skipped, m.Complete)
	}
	if err == nil {
		_, err = w.conn.ExecContext(ctx, `COMMIT`)
	}
	if err != nil {
		if w.recover(ctx); w.broken != nil {
			return fmt.Errorf("%w: %w", w.broken, err)
		}
		return err
	}
	w.next = b.next
	if w.tables != nil && len(b.staged) > 0 {
		w.tables.commit()
	}
	return nil
}

// recover rolls back to the state before the batch and checks that SQLite did so: if a commit failed after it became
// durable, its positions must not be given to other transactions.
func (w *writer) recover(ctx context.Context) {
	// This fails if SQLite has rolled back by itself already.
	_, _ = w.conn.ExecContext(ctx, `ROLLBACK`)
	last, err := lastPosition(ctx, w.conn)
	if err == nil && last+1 != w.next {
		err = fmt.Errorf("the store ends at %d, not at %d", last, w.next-1)
	}
	if err != nil {
		w.broken = fmt.Errorf("%w: %w", ErrInDoubt, err)
	}
}

func (w *writer) insert(ctx context.Context, b *batch) error {
	for i := range b.staged {
		p := &b.staged[i]
		if _, err := w.insertEvent.ExecContext(ctx, int64(p.position), p.event); err != nil {
			return err
		}
		if _, err := w.insertID.ExecContext(ctx, p.tx.GetTransactionId(), int64(p.position)); err != nil {
			return err
		}
	}
	for _, row := range b.rows {
		if _, err := w.insertRefs.ExecContext(ctx, row.accountID, row.asset, int64(row.refs.first), row.refs.packed); err != nil {
			return err
		}
	}
	for key, amount := range b.pending {
		if err := w.savePending(ctx, key, amount); err != nil {
			return err
		}
	}
	if w.tables == nil {
		return nil
	}
	txs := make([]*walletv1.Transaction, len(b.staged))
	for i := range b.staged {
		txs[i] = b.staged[i].tx
	}
	return w.tables.write(ctx, txs)
}

func (w *writer) savePending(ctx context.Context, key pendingKey, amount ledger.Int128) error {
	if amount.Sign() == 0 {
		_, err := w.dropPending.ExecContext(ctx, key.accountID, key.asset, key.debit)
		return err
	}
	_, err := w.putPending.ExecContext(ctx, key.accountID, key.asset, key.debit, amount.Bytes())
	return err
}

func (w *writer) loadPending(key pendingKey) (ledger.Int128, error) {
	var stored []byte
	err := w.findPending.QueryRowContext(context.Background(), key.accountID, key.asset, key.debit).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Int128{}, nil
	}
	if err != nil {
		return ledger.Int128{}, err
	}
	amount, ok := ledger.Int128FromBytes(stored)
	if !ok {
		return amount, fmt.Errorf("%w: a pending amount of %d bytes", ErrCorrupt, len(stored))
	}
	return amount, nil
}

// find looks a transaction_id up. It returns position 0 if the id is new.
func (w *writer) find(transactionID string) (position uint64, event []byte, err error) {
	var stored int64
	err = w.findID.QueryRowContext(context.Background(), transactionID).Scan(&stored, &event)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return uint64(stored), event, err
}
