package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Newest, as a position, asks for a view of the newest position.
const Newest uint64 = math.MaxUint64

// These read neighbouring rows of a primary key. A ref below refOf(P+1, 0) belongs to a transaction at P or before.
const (
	holdingRows = `SELECT asset, holding, first_position, credits_posted, debits_posted, credits_pending, debits_pending,
		entry_count, last_occurred_at_us FROM balances WHERE account_id = ? ORDER BY asset`
	postedEntries = `SELECT occurred_at_us, amount, counterparty FROM entries
		WHERE holding = ? AND occurred_at_us >= ? AND occurred_at_us < ? AND ref < ? AND phase = 1`
	allEntries = `SELECT occurred_at_us, amount, phase FROM entries
		WHERE holding = ? AND occurred_at_us >= ? AND occurred_at_us < ? AND ref < ?`
)

// lookEvery is how many rows a scan reads between two looks whether it is still wanted.
const lookEvery = 1024

// View is the ledger at one position, read from the read tables in one SQLite transaction. So a commit does not change
// what a view sees. A view is not safe for concurrent use, and must be closed.
type View struct {
	ctx  context.Context
	pool *viewPool
	conn *viewConn
	// interrupting ends scans at once. On the committer's connection it never ends, because it would interrupt others too.
	interrupting context.Context
	position     uint64
	// head is the newest position at which the view could be.
	head uint64
	// begun is true while the SQLite transaction is open. broken means that the connection failed.
	begun, broken bool
}

// Holding is an (account, asset) that has had an entry.
type Holding struct {
	Asset string
	// Counters holds the balance at the newest position, which need not be the view's: see [View.IsNewest].
	Counters
	number int64
}

// View returns the ledger at a position: [Newest], or one not above Head. The tables hold every entry with its position,
// so all positions from 0 on are retained. If as many views are open as may be, View waits for one to be closed, and
// fails with [ErrBusy] if that takes nearly all of the time that ctx leaves. Reads of the view end with ctx.
//
// The newest position may be one that is durable and not yet in Head, because a view sees a commit at once.
func (s *Store) View(ctx context.Context, at uint64) (*View, error) {
	pool := s.views.Load()
	if pool == nil {
		return nil, fmt.Errorf("%w: a view needs a model that is a TableReader", ErrUse)
	}
	conn, err := pool.take(ctx)
	if err != nil {
		return nil, err
	}
	v := &View{ctx: ctx, pool: pool, conn: conn, interrupting: ctx}
	if err := v.begin(at); err != nil {
		v.Close()
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return v, nil
}

func (v *View) begin(at uint64) error {
	if v.pool.alone != nil {
		v.pool.alone.Lock()
		v.interrupting = context.WithoutCancel(v.ctx)
	}
	v.begun = true
	// These are too short to be cancelled. A cancelled BEGIN may have taken effect.
	if _, err := v.conn.begin.ExecContext(context.Background()); err != nil {
		return v.failed(err)
	}
	var head int64
	if err := v.conn.position.QueryRowContext(context.Background()).Scan(&head); err != nil {
		return v.failed(err)
	}
	v.head, v.position = uint64(head), at
	if at == Newest {
		v.position = v.head
	}
	if v.position > v.head {
		return fmt.Errorf("%w: view of %d, the ledger is at %d", ErrUse, at, head)
	}
	return nil
}

// Close lets another view begin.
func (v *View) Close() {
	if v.begun {
		if _, err := v.conn.end.ExecContext(context.Background()); err != nil {
			v.broken = true
			_, _ = v.conn.conn.ExecContext(context.Background(), `ROLLBACK`)
		}
		if v.pool.alone != nil {
			v.pool.alone.Unlock()
		}
	}
	if v.broken {
		_ = v.conn.close(v.pool)
		v.conn = nil
	}
	v.pool.put(v.conn)
}

// failed returns the error of a read. Unless the caller merely gave up, the connection cannot be trusted any more.
func (v *View) failed(err error) error {
	// database/sql closes what is read when the context ends, and then has other errors too.
	if gaveUp := v.ctx.Err(); gaveUp != nil {
		return gaveUp
	}
	v.broken = true
	return err
}

// Position returns the position of the view.
func (v *View) Position() uint64 { return v.position }

// IsNewest returns whether the counters of holdings are those of the view's position.
func (v *View) IsNewest() bool { return v.position == v.head }

// Holdings returns the holdings of an account at the view's position, ascending by asset. There are none if the account
// had no entry.
func (v *View) Holdings(accountID string) (held []Holding, err error) {
	rows, err := v.conn.holdings.QueryContext(context.Background(), accountID)
	if err != nil {
		return nil, v.failed(err)
	}
	defer rows.Close()
	for rows.Next() {
		var h Holding
		var first int64
		var stored storedCounters
		if err := rows.Scan(stored.into(&h.Asset, &h.number, &first)...); err != nil {
			return nil, v.failed(err)
		}
		if uint64(first) > v.position {
			continue
		}
		if h.Counters, err = stored.counters(); err != nil {
			return nil, err
		}
		held = append(held, h)
	}
	if err := rows.Err(); err != nil {
		return nil, v.failed(err)
	}
	return held, nil
}

// Posted visits the POSTED entries of a holding with fromUS ≤ occurred_at < toUS, in order of time. counterparty is a
// number for [View.Counterparty], or 0.
func (v *View) Posted(h *Holding, fromUS, toUS int64, visit func(occurredAtUS, amount, counterparty int64)) error {
	return v.scan(v.conn.posted, h, fromUS, toUS, visit)
}

// Before visits the entries of every phase with occurred_at < toUS, in order of time.
func (v *View) Before(h *Holding, toUS int64, visit func(occurredAtUS, amount int64, phase walletv1.Phase)) error {
	return v.scan(v.conn.all, h, math.MinInt64, toUS, func(occurredAtUS, amount, phase int64) {
		visit(occurredAtUS, amount, walletv1.Phase(phase))
	})
}

func (v *View) scan(stmt *sql.Stmt, h *Holding, fromUS, toUS int64, visit func(a, b, c int64)) error {
	rows, err := stmt.QueryContext(v.interrupting, h.number, fromUS, toUS, int64(refOf(v.position+1, 0)))
	if err != nil {
		return v.failed(err)
	}
	defer rows.Close()
	// Scanning into any copies nothing and needs no reflection.
	var a, b, c any
	to := []any{&a, &b, &c}
	for n := 1; rows.Next(); n++ {
		if n%lookEvery == 0 {
			if err := v.unwanted(); err != nil {
				return err
			}
		}
		if err := rows.Scan(to...); err != nil {
			return v.failed(err)
		}
		first, isFirst := a.(int64)
		second, isSecond := b.(int64)
		third, isThird := c.(int64)
		if !isFirst || !isSecond || !isThird {
			return fmt.Errorf("%w: an entry is stored as %v, %v, %v", ErrCorrupt, a, b, c)
		}
		visit(first, second, third)
	}
	if err := rows.Err(); err != nil {
		return v.failed(err)
	}
	return nil
}

// unwanted returns why a scan need not go on, or nil.
func (v *View) unwanted() error {
	select {
	case <-v.pool.closing:
		return ErrClosed
	default:
		return v.ctx.Err()
	}
}

// Counterparty returns the name of a counterparty.
func (v *View) Counterparty(number int64) (name string, err error) {
	err = v.conn.name.QueryRowContext(context.Background(), number).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w: no counterparty %d", ErrCorrupt, number)
	}
	if err != nil {
		return "", v.failed(err)
	}
	return name, nil
}
