package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// posting is one transaction on its way through the committer. done is closed once outcome and err are set.
type posting struct {
	ctx     context.Context
	tx      *walletv1.Transaction
	outcome verdict
	err     error
	done    chan struct{}
}

// Post makes a transaction durable and applies it. Its error is a [ledger.Error], or wraps one of [ErrCommit],
// [ErrInDoubt], [ErrUnknown], [ErrClosed] and [ErrUse]. If ctx ends first, the transaction is either posted as a whole
// or not at all. The store keeps tx, so it must not change afterwards.
func (s *Store) Post(ctx context.Context, tx *walletv1.Transaction) (position uint64, alreadyPosted bool, err error) {
	if err := ledger.Validate(tx); err != nil {
		return 0, false, err
	}
	if !s.begun {
		return 0, false, fmt.Errorf("%w: post before Load", ErrUse)
	}
	if s.w == nil {
		return 0, false, fmt.Errorf("%w: %w", ErrCommit, s.writeBlocked)
	}
	p := &posting{ctx: ctx, tx: tx, done: make(chan struct{})}
	select {
	case s.queue <- p:
	case <-ctx.Done():
		return 0, false, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	case <-s.closing:
		return 0, false, ErrClosed
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, false, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	case <-s.stopped:
		// The committer may have answered just before it stopped.
		select {
		case <-p.done:
		default:
			return 0, false, ErrClosed
		}
	}
	return p.outcome.position, p.outcome.alreadyPosted, p.err
}

// commitLoop is the committer. While one batch waits for the disk, posts for the next collect in the queue. So the size
// of batches follows the load, and no post waits for others to join its batch. Between batches it runs the tasks of a
// switch, which it takes in turn with posts.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		select {
		case p := <-s.queue:
			s.commit(p)
		case task := <-s.tasks:
			task()
		case <-s.closing:
			s.commitRest()
			return
		}
	}
}

func (s *Store) commitRest() {
	for {
		select {
		case p := <-s.queue:
			s.commit(p)
		default:
			return
		}
	}
}

func (s *Store) commit(first *posting) {
	start := time.Now()
	b := newBatch(s.w, 1)
	waiting := []*posting{first}
	err := s.w.transact(b, nil, func() error {
		waiting = s.gather(b, first)
		return nil
	})
	if s.options.OnCommit != nil && (err != nil || len(b.staged) > 0) {
		s.options.OnCommit(Commit{Transactions: len(b.staged), Took: time.Since(start), Err: err})
	}
	if err != nil {
		err = commitError(err)
	} else {
		s.publish(b)
	}
	for _, p := range waiting {
		p.err = errors.Join(p.err, err)
		close(p.done)
	}
}

// gather adds first and the other posts that wait to the batch. It answers at once those whose outcome does not depend
// on the batch, and returns the others, which are answered when the batch is durable.
func (s *Store) gather(b *batch, first *posting) (waiting []*posting) {
	head := s.Head()
	for p := first; p != nil; p = s.nextWaiting(b) {
		switch p.err = p.ctx.Err(); {
		case p.err != nil:
			// The caller is gone, so nothing is posted.
		default:
			p.outcome, p.err = b.add(p.tx, false)
		}
		var refused *ledger.Error
		if p.err != nil && !errors.As(p.err, &refused) {
			p.err = commitError(p.err)
		}
		// A repeat of a transaction of this batch must wait for the batch too.
		if p.err == nil && p.outcome.position > head {
			waiting = append(waiting, p)
		} else {
			close(p.done)
		}
	}
	return waiting
}

func (s *Store) nextWaiting(b *batch) *posting {
	if len(b.staged) >= maxBatch || b.size >= maxBatchSize {
		return nil
	}
	select {
	case p := <-s.queue:
		return p
	default:
		return nil
	}
}

// publish makes a durable batch visible, first in the read model, then in Head and the feed.
func (s *Store) publish(b *batch) {
	events := make([][]byte, len(b.staged))
	for i := range b.staged {
		s.model.Apply(b.staged[i].tx)
		events[i] = b.staged[i].event
	}
	s.feed.append(events)
}
