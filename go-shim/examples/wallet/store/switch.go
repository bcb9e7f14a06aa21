package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	// A model in memory leaves at most lastApplied transactions to the committer, while posts wait.
	lastApplied = 2 * loadChunk
	// The committer writes so many transactions to the read tables between two commits that it takes about stepTime.
	firstStep, leastStep = 256, 64
	stepTime             = 10 * time.Millisecond
)

// Switch replaces the read model while posts and reads go on. A model that is a [TableReader] gets the read tables, which
// are caught up in the background and from then on kept; any other must be empty, and gets all transactions. Once it has
// all that Head has, Switch calls swap, between two commits, so that whoever asks from then on can be sent to the new
// model. It has every transaction that the old one has, and the old one gets no more. Unless the new one reads them, the
// tables are no longer kept.
//
// If swap fails, ctx ends, the store is closed or the disk is full, Switch fails, and the model stays as it was. Whoever
// switches can be told how far it is by progress. While a switch is under way, another fails with [ErrSwitching].
func (s *Store) Switch(ctx context.Context, to Applier, swap func() error, progress func(done, total uint64)) error {
	if !s.begun {
		return fmt.Errorf("%w: switch before Load", ErrUse)
	}
	if !s.switching.TryLock() {
		return ErrSwitching
	}
	defer s.switching.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	var err error
	if _, ok := to.(TableReader); ok {
		err = s.switchToTables(ctx, to, swap, progress)
	} else {
		err = s.switchToMemory(ctx, to, swap, progress)
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrClosed) {
		return ErrClosed
	}
	return err
}

// onCommitter runs f between two commits. f must be short, because posts wait for it. Once it runs, it runs to its end.
func (s *Store) onCommitter(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case s.tasks <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
}

func (s *Store) switchToMemory(ctx context.Context, to Applier, swap func() error, progress func(done, total uint64)) error {
	at := uint64(0)
	// To apply a transaction takes a fraction of what its commit takes, so this comes near to the head.
	for head := s.Head(); head-at > lastApplied; head = s.Head() {
		next, err := s.replay(ctx, to, at, min(head, at+loadChunk))
		if err != nil {
			return err
		}
		at = next
		progress(at, head)
	}
	return s.onCommitter(ctx, func() error {
		for head := s.Head(); at < head; {
			next, err := s.replay(ctx, to, at, head)
			if err != nil {
				return err
			}
			at = next
		}
		if err := swap(); err != nil {
			return err
		}
		s.model = to
		progress(at, at)
		s.forgetTables()
		return nil
	})
}

// replay applies transactions after a position and up to another, though not necessarily all, and returns how far it came.
func (s *Store) replay(ctx context.Context, to Applier, after, last uint64) (reached uint64, err error) {
	events, err := s.Read(ctx, after+1, int(last-after), catchUpBytes)
	if err != nil {
		return after, err
	}
	txs, err := decodeAll(events, after+1)
	if err != nil {
		return after, err
	}
	for _, tx := range txs {
		to.Apply(tx)
	}
	return after + uint64(len(txs)), ctx.Err()
}

// forgetTables stops keeping the read tables. They stay in the file, behind. Only the committer may call it.
func (s *Store) forgetTables() {
	if s.w != nil && s.w.tables != nil {
		_ = s.w.tables.close()
		s.w.tables = nil
		s.w.setCache(context.Background(), commitCache)
	}
	if views := s.views.Load(); views != nil {
		views.rest()
	}
}

func (s *Store) switchToTables(ctx context.Context, to Applier, swap func() error, progress func(done, total uint64)) (err error) {
	if s.writeBlocked != nil {
		return fmt.Errorf("%w: %w", ErrBehind, s.writeBlocked)
	}
	kept := false
	if err := s.onCommitter(ctx, func() error { kept = s.w.tables != nil; return nil }); err != nil {
		return err
	}
	if !kept {
		if err := s.keepTables(ctx, progress); err != nil {
			return fmt.Errorf("bring the read tables up to date: %w", err)
		}
		defer func() {
			if err == nil {
				return
			}
			// If the store is being closed, nobody minds the tables.
			_ = s.onCommitter(context.WithoutCancel(ctx), func() error { s.forgetTables(); return nil })
		}()
	}
	if err := s.checkKept(ctx); err != nil {
		return err
	}
	views := s.views.Load()
	if views == nil {
		if views, err = s.openViews(); err != nil {
			return err
		}
		s.views.Store(views)
	}
	return s.onCommitter(ctx, func() error {
		views.resting.Store(false)
		if err := swap(); err != nil {
			return err
		}
		s.model = to
		s.w.setCache(ctx, keptCache)
		return nil
	})
}

// keepTables brings the read tables up to date, in steps between which the committer commits, and has every commit write
// them from then on.
func (s *Store) keepTables(ctx context.Context, progress func(done, total uint64)) (err error) {
	marks, found, err := readMarks(ctx, s.reads)
	if err != nil {
		return err
	}
	if err := s.hasRoom(ctx, marks); err != nil {
		return err
	}
	k := &keeping{s: s, size: firstStep}
	if err := s.onCommitter(ctx, func() error { return k.begin(ctx, marks, found) }); err != nil {
		return err
	}
	for !k.done {
		if err := k.step(ctx); err != nil {
			return errors.Join(err, k.tables.close())
		}
		progress(k.tables.committed.position, s.Head())
		k.giveWay(ctx)
	}
	return nil
}

// keeping is a switch that brings the read tables up to date.
type keeping struct {
	s      *Store
	tables *tableWriter
	// size is how many transactions the next step takes, and took how long the committer was busy with the last one.
	size uint64
	took time.Duration
	// head is the head at the beginning of the last step, and posted how many transactions came during the one before.
	head, posted uint64
	done         bool
}

func (k *keeping) begin(ctx context.Context, marks tableMarks, found bool) (err error) {
	w := k.s.w
	if w.broken != nil {
		return w.broken
	}
	if !found {
		if err := w.makeTables(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("make the read tables: %w", err)
		}
	}
	k.head = k.s.Head()
	k.tables, err = newTableWriter(context.WithoutCancel(ctx), w.conn, marks, &k.s.tableMarks)
	return err
}

// step writes some transactions. The last step writes all that are left, and hands the tables to the writer.
func (k *keeping) step(ctx context.Context) error {
	head, at := k.s.Head(), k.tables.committed.position
	k.posted, k.head = head-k.head, head
	// Each step takes more than was posted during the one before, or it might never end.
	k.size = min(max(k.size, 2*k.posted), catchUpTransactions)
	txs, err := k.read(ctx, at, min(head, at+k.size))
	if err != nil {
		return err
	}
	return k.s.onCommitter(ctx, func() error {
		began := time.Now()
		if err := k.write(ctx, txs); err != nil {
			return err
		}
		k.took = time.Since(began)
		for k.s.Head()-k.tables.committed.position <= k.size {
			at := k.tables.committed.position
			if at == k.s.Head() {
				k.s.w.tables, k.done = k.tables, true
				return nil
			}
			rest, err := k.read(ctx, at, k.s.Head())
			if err == nil {
				err = k.write(ctx, rest)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// giveWay makes the next step longer or shorter, so that posts wait for about stepTime. If there are posts, it leaves the
// committer to them for as long as the last step took, unless they come faster than the steps go.
func (k *keeping) giveWay(ctx context.Context) {
	switch {
	case k.took > stepTime:
		k.size = max(k.size/2, leastStep)
	case k.took < stepTime/2:
		k.size = min(2*k.size, catchUpTransactions)
	}
	if k.done || k.posted == 0 || k.posted >= k.size {
		return
	}
	select {
	case <-time.After(k.took):
	case <-ctx.Done():
	}
}

func (k *keeping) read(ctx context.Context, after, last uint64) ([]*walletv1.Transaction, error) {
	if after == last {
		return nil, nil
	}
	events, err := k.s.Read(ctx, after+1, int(last-after), catchUpBytes)
	if err != nil {
		return nil, err
	}
	return decodeAll(events, after+1)
}

func (k *keeping) write(ctx context.Context, txs []*walletv1.Transaction) error {
	if len(txs) == 0 {
		return nil
	}
	if k.s.w.broken != nil {
		return k.s.w.broken
	}
	// A context that ends would interrupt whatever else the connection is asked for.
	ctx = context.WithoutCancel(ctx)
	if err := k.s.w.inTransaction(func() error { return k.tables.write(ctx, txs) }); err != nil {
		return openError(err)
	}
	k.tables.commit()
	return nil
}

// checkKept makes sure once that the read tables agree with the rest of the store. It reads them as they are after one
// commit, so that posts go on.
func (s *Store) checkKept(ctx context.Context) error {
	conn, err := s.readers.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A cancelled BEGIN may have taken effect.
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), `BEGIN`); err != nil {
		return err
	}
	marks, _, err := readMarks(ctx, conn)
	checked := marks.checked
	if err == nil && !checked {
		err = auditTables(ctx, conn, &marks)
	}
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	if err != nil || checked {
		return err
	}
	return s.onCommitter(ctx, func() error {
		return s.w.inTransaction(func() error { return s.w.approve(context.WithoutCancel(ctx)) })
	})
}
