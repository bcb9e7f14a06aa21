package store

import (
	"context"
	"fmt"
	"sync"
)

// These bound the recent events that are kept in memory. Followers of the ledger are nearly always close to its head.
const (
	maxRecent      = 16_384
	maxRecentBytes = 16 << 20
)

// feed holds the head of the ledger and its most recent events.
type feed struct {
	mu     sync.Mutex
	head   uint64
	recent [][]byte // the last one is at position head
	bytes  int
	// changed is closed and replaced when head moves.
	changed chan struct{}
}

func (f *feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head
}

func (f *feed) append(events [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head += uint64(len(events))
	for _, event := range events {
		f.recent = append(f.recent, event)
		f.bytes += len(event)
	}
	for len(f.recent) > maxRecent || f.bytes > maxRecentBytes {
		f.bytes -= len(f.recent[0])
		f.recent[0] = nil
		f.recent = f.recent[1:]
	}
	f.wake()
}

func (f *feed) start(head uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = head
	f.wake()
}

func (f *feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// take returns events from a position on, or none if the first of them is not in memory. It also returns head, and the
// channel that is closed when head moves.
func (f *feed) take(from uint64, limit, maxBytes int) (events [][]byte, head uint64, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.head - uint64(len(f.recent)) + 1
	if from < oldest || from > f.head {
		return nil, f.head, f.changed
	}
	held := f.recent[from-oldest:]
	held = held[:min(limit, len(held))]
	size := 0
	for i, event := range held {
		if size += len(event); size > maxBytes && i > 0 {
			held = held[:i]
			break
		}
	}
	// The caller gets a copy, because append clears the slots of old events.
	return append([][]byte(nil), held...), f.head, f.changed
}

// Read returns 1 to limit encoded events without gaps, the first at position from. It waits until there is one.
// Together they have at most maxBytes, unless the first alone has more.
func (s *Store) Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error) {
	if from < 1 || limit < 1 {
		return nil, fmt.Errorf("%w: read from %d, limit %d: both start at 1", ErrUse, from, limit)
	}
	for {
		events, head, changed := s.feed.take(from, limit, maxBytes)
		if len(events) > 0 {
			return events, nil
		}
		if from <= head {
			limit = int(min(uint64(limit), head-from+1))
			return s.history(ctx, from, limit, maxBytes)
		}
		if err := s.await(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// WaitHead returns once Head has reached position.
func (s *Store) WaitHead(ctx context.Context, position uint64) error {
	for {
		_, head, changed := s.feed.take(0, 1, 0)
		if head >= position {
			return nil
		}
		if err := s.await(ctx, changed); err != nil {
			return err
		}
	}
}

func (s *Store) await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
}

func (s *Store) history(ctx context.Context, from uint64, limit, maxBytes int) (events [][]byte, err error) {
	rows, err := s.reads.QueryContext(ctx,
		`SELECT event FROM events WHERE position >= ? ORDER BY position LIMIT ?`, int64(from), limit)
	if err != nil {
		return nil, fmt.Errorf("read events from %d: %w", from, err)
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		var event []byte
		if err := rows.Scan(&event); err != nil {
			return nil, fmt.Errorf("read events from %d: %w", from, err)
		}
		if size += len(event); size > maxBytes && len(events) > 0 {
			return events, nil
		}
		events = append(events, event)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events from %d: %w", from, err)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%w: no event at %d", ErrCorrupt, from)
	}
	return events, nil
}
