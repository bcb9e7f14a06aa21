package main

import (
	"context"
	"sync"
)

// perChunk is how many events a chunk holds.
const perChunk = 4096

// chunk holds encoded events back to back. So a ledger is a few large objects for the garbage collector, and not millions.
type chunk struct {
	bytes []byte
	// ends are where the events end.
	ends []uint32
}

// source is a ledger in memory, ready to be fed. It holds events that are not committed yet: Head says how many are.
type source struct {
	id string

	mu     sync.Mutex
	chunks []chunk
	// entries is the number of entries of all events up to each position, beginning with position 0.
	entries []uint32
	head    uint64
	// Up to position lent, Read commits what it needs, step events at a time.
	lent, step uint64
	// changed is closed and replaced when head moves.
	changed chan struct{}
}

func newSource(id string) *source {
	return &source{id: id, entries: []uint32{0}, changed: make(chan struct{})}
}

// add appends an event, which it does not commit. encode gets the event's position and appends to a slice.
func (s *source) add(entries int, encode func(b []byte, position uint64) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := len(s.entries) - 1
	if made%perChunk == 0 {
		next := chunk{ends: make([]uint32, 0, perChunk)}
		if n := len(s.chunks); n > 0 {
			// It will be about as long as the one before.
			next.bytes = make([]byte, 0, len(s.chunks[n-1].bytes)*17/16)
		}
		s.chunks = append(s.chunks, next)
	}
	last := &s.chunks[len(s.chunks)-1]
	last.bytes = encode(last.bytes, uint64(made+1))
	last.ends = append(last.ends, uint32(len(last.bytes)))
	s.entries = append(s.entries, s.entries[made]+uint32(entries))
}

// made is the position of the last event, committed or not.
func (s *source) made() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.entries) - 1)
}

// entriesUpTo is the number of entries of all events up to a position.
func (s *source) entriesUpTo(position uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.entries[min(position, uint64(len(s.entries)-1))])
}

// size is the number of bytes of all events.
func (s *source) size() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.chunks {
		bytes += int64(len(one.bytes))
	}
	return bytes
}

// commit commits all events up to a position.
func (s *source) commit(position uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = position
	s.wake()
}

// lend lets Read commit up to a position by itself, step events at a time: as fast as they are taken.
func (s *source) lend(position, step uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent, s.step = position, step
	s.wake()
}

func (s *source) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// LedgerID implements shim.Source.
func (s *source) LedgerID() string { return s.id }

// Head implements shim.Source.
func (s *source) Head() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

// Read implements shim.Source.
func (s *source) Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error) {
	for {
		events, changed := s.take(from, limit, maxBytes)
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *source) take(from uint64, limit, maxBytes int) (events [][]byte, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from > s.head && s.head < s.lent {
		s.head = min(s.head+s.step, s.lent)
	}
	if from > s.head {
		return nil, s.changed
	}
	limit = int(min(uint64(limit), s.head-from+1))
	events = make([][]byte, 0, limit)
	size := 0
	for position := from; len(events) < limit; position++ {
		event := s.event(position)
		if size += len(event); size > maxBytes && len(events) > 0 {
			break
		}
		events = append(events, event)
	}
	return events, s.changed
}

func (s *source) event(position uint64) []byte {
	in, at := &s.chunks[(position-1)/perChunk], (position-1)%perChunk
	begin := uint32(0)
	if at > 0 {
		begin = in.ends[at-1]
	}
	end := in.ends[at]
	return in.bytes[begin:end:end]
}
