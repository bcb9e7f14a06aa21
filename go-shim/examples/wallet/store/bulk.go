package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Mark says how far a source has been imported. It is written with the transactions that it counts, so it is right
// after any crash.
type Mark struct {
	// Source identifies the bytes that are imported, such as a hash of a file.
	Source string
	// Records of the source that are dealt with, Skipped how many of them were left out on purpose.
	Records  int64
	Skipped  int64
	Complete bool
}

// Mark returns the mark of a source, the zero one with its name if there is none.
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
	// Posted are new, Repeated were posted before with the same body.
	Posted   int
	Repeated int
	// Rejected are those that the ledger refused, in order.
	Rejected []Rejection
}

// Rejection is the verdict on one transaction of a batch.
type Rejection struct {
	Index int
	Err   error
}

// AppendBatch posts validated transactions in one SQLite transaction, before Load: for imports, where a group commit
// of whoever waits would be far too small. Unless keepGoing, the first refusal ends it, and what stands before that is
// posted. mark, if not nil, gives the mark to write when that many of txs stand before the first refusal.
func (s *Store) AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(accepted int) Mark) (Appended, error) {
	if s.model != nil {
		return Appended{}, fmt.Errorf("%w: append after Load", ErrUse)
	}
	if s.w == nil {
		return Appended{}, fmt.Errorf("%w: %w", ErrCommit, s.hindrance)
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
	// Asking for every id costs more than the odd wasted attempt, so go back to guessing once a batch is all new.
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
