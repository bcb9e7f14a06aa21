// Package shimtest has what tests of services and of the shim need. Its servers and clients use real sockets.
//
//   - Ledger is a shim.Source in memory.
//   - Sidecar acts as hotpathd, and a script decides on its answers.
//   - Peer is a bare server of the exchange, for tests of lanes.
//   - Silent and NotHTTP2 are sockets on which no sidecar answers.
//   - Caller is a gRPC client that can misbehave.
package shimtest

import (
	"context"
	"sync"
)

// Ledger is a shim.Source in memory.
type Ledger struct {
	id string

	mu     sync.Mutex
	events [][]byte
	grown  chan struct{}
	broken error
}

// NewLedger makes an empty ledger.
func NewLedger(id string) *Ledger {
	return &Ledger{id: id, grown: make(chan struct{})}
}

// Append commits events and returns the new head.
func (l *Ledger) Append(events ...[]byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
	l.wake()
	return uint64(len(l.events))
}

// Truncate drops all events after head, as restoring a backup does.
func (l *Ledger) Truncate(head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = l.events[:head:head]
}

// Break makes Read fail with err until it is called with nil.
func (l *Ledger) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
	l.wake()
}

func (l *Ledger) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// LedgerID implements shim.Source.
func (l *Ledger) LedgerID() string { return l.id }

// Head implements shim.Source.
func (l *Ledger) Head() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.events))
}

// Read implements shim.Source.
func (l *Ledger) Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error) {
	for {
		events, grown, err := l.after(from, limit, maxBytes)
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (l *Ledger) after(from uint64, limit, maxBytes int) ([][]byte, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, nil, l.broken
	}
	var batch [][]byte
	size := 0
	for i := from - 1; i < uint64(len(l.events)) && len(batch) < limit; i++ {
		size += len(l.events[i])
		if size > maxBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, l.events[i])
	}
	return batch, l.grown, nil
}
