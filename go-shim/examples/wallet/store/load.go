package store

import (
	"context"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

const loadChunk = 1024

// Load applies the whole ledger to an empty read model and then starts the committer. From then on the store accepts
// posts and answers reads. progress, if not nil, is called after each chunk of transactions. A [TableReader] gets the
// read tables instead.
func (s *Store) Load(ctx context.Context, model Applier, progress func(done, total uint64)) error {
	if s.begun {
		return fmt.Errorf("%w: loaded twice", ErrUse)
	}
	total := s.loaded
	if s.w != nil {
		total = s.w.next - 1
	}
	var err error
	if _, ok := model.(TableReader); ok {
		err = s.loadTables(ctx, total, progress)
	} else {
		err = s.applyAll(ctx, model, total, progress)
	}
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	s.model, s.begun = model, true
	s.feed.start(total)
	go s.commitLoop()
	go s.keepTrim()
	return nil
}

func (s *Store) applyAll(ctx context.Context, model Applier, total uint64, progress func(done, total uint64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan []*walletv1.Transaction, 4)
	failed := make(chan error, 1)
	go func() {
		defer close(chunks)
		failed <- s.decode(ctx, total, chunks)
	}()
	var done uint64
	for chunk := range chunks {
		for _, tx := range chunk {
			model.Apply(tx)
		}
		done += uint64(len(chunk))
		if progress != nil {
			progress(done, total)
		}
	}
	return <-failed
}

// decode reads ahead of the model, so that two cores have work.
func (s *Store) decode(ctx context.Context, total uint64, chunks chan<- []*walletv1.Transaction) error {
	rows, err := s.reads.QueryContext(ctx, `SELECT position, event FROM events ORDER BY position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var next uint64
	chunk := make([]*walletv1.Transaction, 0, loadChunk)
	for rows.Next() {
		next++
		tx, err := scanEvent(rows, next)
		if err != nil {
			return err
		}
		if chunk = append(chunk, tx); len(chunk) < loadChunk && next < total {
			continue
		}
		select {
		case chunks <- chunk:
		case <-ctx.Done():
			return ctx.Err()
		}
		chunk = make([]*walletv1.Transaction, 0, loadChunk)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if next != total {
		return fmt.Errorf("%w: %d events up to position %d", ErrCorrupt, next, total)
	}
	return nil
}

func scanEvent(rows interface{ Scan(...any) error }, want uint64) (*walletv1.Transaction, error) {
	var position int64
	var event []byte
	if err := rows.Scan(&position, &event); err != nil {
		return nil, err
	}
	tx, err := ledger.DecodeEvent(event)
	if err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", ErrCorrupt, position, err)
	}
	if uint64(position) != want || tx.GetPosition() != want {
		return nil, fmt.Errorf("%w: found position %d where %d is due", ErrCorrupt, position, want)
	}
	return tx, nil
}
