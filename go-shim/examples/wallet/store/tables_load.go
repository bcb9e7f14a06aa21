package store

import (
	"context"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

const (
	// Catching up commits after this many transactions, or this many bytes of them. A batch is sorted before it is
	// written, so larger batches touch each page less often.
	catchUpTransactions = 16_384
	catchUpBytes        = 2 << 20
)

// keptCache is how large the committer's page cache may be beside the read tables, in KiB. Whoever wants no read model
// in memory wants no copy of the tables there either; the system's page cache has them anyway.
const keptCache = 8 << 10

// TableReader is an [Applier] that answers from the read tables. Load brings the tables up to date, starts the reads of
// [Store.View], and applies nothing. Later transactions are in the tables before they are applied.
type TableReader interface {
	Applier
	ReadsTables()
}

// loadTables brings the read tables up to date and opens the views. It can be interrupted at any time: the next call
// goes on from the last batch.
func (s *Store) loadTables(ctx context.Context, total uint64, progress func(done, total uint64)) error {
	marks, found, err := readMarks(ctx, s.reads)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	upToDate := found && marks.checked && marks.position == total
	if found && marks.position > total {
		return fmt.Errorf("%w: the read tables end at %d, the ledger at %d", ErrCorrupt, marks.position, total)
	}
	if s.writeBlocked != nil && !upToDate {
		return fmt.Errorf("%w: %w", ErrBehind, s.writeBlocked)
	}
	if s.w != nil {
		if !found {
			if err := s.w.makeTables(ctx); err != nil {
				return fmt.Errorf("make the read tables: %w", err)
			}
		}
		if s.w.tables, err = newTableWriter(ctx, s.w.conn, marks, &s.tableMarks); err != nil {
			return err
		}
	}
	if !upToDate {
		if err := s.catchUp(ctx, total, progress); err != nil {
			return fmt.Errorf("bring the read tables up to date: %w", err)
		}
	}
	if s.w != nil {
		s.w.setCache(ctx, keptCache)
	} else {
		s.tableMarks.Store(&marks)
	}
	views, err := s.openViews()
	s.views.Store(views)
	return err
}

func cacheSize(kib int) string { return fmt.Sprintf("cache_size = -%d", kib) }

// setCache sets how large the page cache may be, in KiB. It does no harm if this fails.
func (w *writer) setCache(ctx context.Context, kib int) {
	_, _ = w.conn.ExecContext(ctx, "PRAGMA "+cacheSize(kib))
	_, _ = w.conn.ExecContext(ctx, `PRAGMA shrink_memory`)
}

// makeTables makes empty read tables, in the place of any others.
func (w *writer) makeTables(ctx context.Context) error {
	return w.inTransaction(func() error {
		_, err := w.conn.ExecContext(ctx, dropTables+tablesSchema+
			fmt.Sprintf(`INSERT INTO read_marks VALUES (%d, 0, 0, 0, 0, 0, 0);`, tablesVersion))
		return err
	})
}

// inTransaction runs f in one SQLite transaction, which it rolls back if f fails. It is for what can be derived from the
// events; these themselves are written by transact.
func (w *writer) inTransaction(f func() error) error {
	// A cancelled BEGIN or COMMIT may have taken effect.
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := f()
	if err == nil {
		_, err = w.conn.ExecContext(ctx, `COMMIT`)
	}
	if err != nil {
		// This fails if SQLite has rolled back by itself already.
		_, _ = w.conn.ExecContext(ctx, `ROLLBACK`)
	}
	return err
}

func (s *Store) catchUp(ctx context.Context, total uint64, progress func(done, total uint64)) error {
	t := s.w.tables
	for t.committed.position < total {
		from := t.committed.position + 1
		limit := int(min(catchUpTransactions, total-from+1))
		events, err := s.history(ctx, from, limit, catchUpBytes)
		if err != nil {
			return err
		}
		txs, err := decodeAll(events, from)
		if err != nil {
			return err
		}
		if err := s.w.inTransaction(func() error { return t.write(ctx, txs) }); err != nil {
			return err
		}
		t.commit()
		if progress != nil {
			progress(t.committed.position, total)
		}
	}
	if t.committed.checked {
		return nil
	}
	return s.w.inTransaction(func() error {
		if err := auditTables(ctx, s.w.conn, &t.committed); err != nil {
			return err
		}
		return s.w.approve(ctx)
	})
}

// approve says in read_marks that auditTables has found nothing.
func (w *writer) approve(ctx context.Context) error {
	_, err := w.conn.ExecContext(ctx, `UPDATE read_marks SET checked = 1`)
	return err
}

// decodeAll decodes events that must be at consecutive positions.
func decodeAll(events [][]byte, from uint64) ([]*walletv1.Transaction, error) {
	txs := make([]*walletv1.Transaction, len(events))
	for i, event := range events {
		want := from + uint64(i)
		tx, err := ledger.DecodeEvent(event)
		if err != nil {
			return nil, fmt.Errorf("%w: position %d: %w", ErrCorrupt, want, err)
		}
		if tx.GetPosition() != want {
			return nil, fmt.Errorf("%w: found position %d where %d is due", ErrCorrupt, tx.GetPosition(), want)
		}
		txs[i] = tx
	}
	return txs, nil
}

// auditTables compares the tables with their marks, and with the counters of holds, which the committer keeps by other
// means.
func auditTables(ctx context.Context, from querier, m *tableMarks) error {
	var holdings, counted, held, names, rows, pending int64
	err := from.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM balances), (SELECT coalesce(sum(entry_count), 0) FROM balances),
		(SELECT coalesce(sum((credits_pending <> 0) + (debits_pending <> 0)), 0) FROM balances),
		(SELECT count(*) FROM counterparties), (SELECT count(*) FROM entries), (SELECT count(*) FROM pending)`).
		Scan(&holdings, &counted, &held, &names, &rows, &pending)
	if err != nil {
		return err
	}
	if holdings != m.holdings || names != m.counterparties || uint64(counted) != m.entries || uint64(rows) != m.entries || held != pending {
		return fmt.Errorf("%w: its read tables have %d holdings, %d counterparties, %d and %d entries, %d holds, and not %d, %d, %d, %d",
			ErrCorrupt, holdings, names, counted, rows, held, m.holdings, m.counterparties, m.entries, pending)
	}
	return checkHolds(ctx, from)
}

func checkHolds(ctx context.Context, from querier) error {
	rows, err := from.QueryContext(ctx, `
		SELECT p.account_id, p.asset, p.debit, p.amount, CASE WHEN p.debit THEN b.debits_pending ELSE b.credits_pending END
		FROM pending p LEFT JOIN balances b USING (account_id, asset)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key pendingKey
		var want []byte
		var stored any
		if err := rows.Scan(&key.accountID, &key.asset, &key.debit, &want, &stored); err != nil {
			return err
		}
		held, err := counterOf(stored)
		if err != nil {
			return err
		}
		if amount, ok := ledger.Int128FromBytes(want); !ok || held != amount {
			return fmt.Errorf("%w: its read tables hold %v for %+v", ErrCorrupt, stored, key)
		}
	}
	return rows.Err()
}
