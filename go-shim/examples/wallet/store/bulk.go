package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Mark says how much of a source has been imported. It is committed together with the transactions that it counts, so
// it is right after any crash.
type Mark struct {
	// Source identifies the imported bytes, for example by a hash of the file.
	Source string
	// Records is how many records of the source are dealt with. Skipped is how many of them were left out on purpose.
	Records  int64
	Skipped  int64
	Complete bool
}

// Mark returns the mark of a source. If there is none, only its Source is set.
func (s *Store) Mark(ctx context.Context, source string) (Mark, error) {
	m := Mark{Source: source}
	err := s.reads.QueryRowContext(ctx, `SELECT records, skipped, complete FROM import_marks WHERE source = ?`, source).
		Scan(&m.Records, &m.Skipped, &m.Complete)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return m, fmt.Errorf("read the import mark: %w", err)
	}
	return m, nil
}

// Appended is what AppendBatch did.
type Appended struct {
	// Posted counts new transactions. Repeated counts those that were posted before with the same body.
	Posted   int
	Repeated int
	// Rejected lists the transactions that the ledger refused, in order.
	Rejected []Rejection
}

// Rejection says why the ledger refused one transaction of a batch.
type Rejection struct {
	Index int
	Err   error
}

// AppendBatch posts validated transactions in one SQLite transaction. It is for imports, whose batches must be far
// larger than a group commit, and must be called before Load. Without keepGoing it stops at the first refused
// transaction and posts those before it. mark, if not nil, returns the mark to write; its argument is the number of
// transactions before the first refused one.
func (s *Store) AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(accepted int) Mark) (Appended, error) {
	if s.begun {
		return Appended{}, fmt.Errorf("%w: append after Load", ErrUse)
	}
	if s.w == nil {
		return Appended{}, fmt.Errorf("%w: %w", ErrCommit, s.writeBlocked)
	}
	if err := ctx.Err(); err != nil {
		return Appended{}, err
	}
	if s.optimistic {
		done, err := s.appendBatch(txs, keepGoing, mark, true)
		if !isDuplicate(err) {
			return done, err
		}
	}
	done, err := s.appendBatch(txs, keepGoing, mark, false)
	// To look every id up costs more than a failed attempt now and then. So the next batch is optimistic if all of this
	// one were new.
	s.optimistic = err == nil && done.Posted == len(txs)
	return done, err
}

func (s *Store) appendBatch(txs []*walletv1.Transaction, keepGoing bool, mark func(int) Mark, assumeNew bool) (Appended, error) {
	var done Appended
	b := newBatch(s.w, len(txs))
	accepted := 0
	var markDone func() Mark
	if mark != nil {
		markDone = func() Mark { return mark(accepted) }
	}
	err := s.w.transact(b, markDone, func() error {
		for i, tx := range txs {
			err := done.add(b, i, tx, assumeNew)
			if err != nil {
				return err
			}
			switch {
			case len(done.Rejected) == 0:
				accepted++
			case !keepGoing:
				return nil
			}
		}
		return nil
	})
	if err != nil && !isDuplicate(err) {
		err = commitError(err)
	}
	return done, err
}

func (a *Appended) add(b *batch, index int, tx *walletv1.Transaction, assumeNew bool) error {
	outcome, err := b.add(tx, assumeNew)
	var refused *ledger.Error
	switch {
	case errors.As(err, &refused):
		a.Rejected = append(a.Rejected, Rejection{index, err})
	case err != nil:
		return err
	case outcome.alreadyPosted:
		a.Repeated++
	default:
		a.Posted++
	}
	return nil
}
