package shim

import "context"

// Source is the ledger that feeds the sidecar: a durable sequence of events without gaps. The sidecar's answers are a
// function of these events. The shim calls the methods from several goroutines.
type Source interface {
	// LedgerID is the identity with which the store was created: 1-64 bytes of printable ASCII without spaces.
	LedgerID() string
	// Head is the position of the last durable event that this process has committed and that its own reads show. It is
	// 0 if there is none. It never goes back.
	Head() uint64
	// Read returns 1 to limit encoded events, in the form that the sidecar's model decodes. The first is the one at
	// position from (>= 1), and there are no gaps. Read waits until there is an event, or until ctx ends. The caller
	// must not change the bytes. The events together may exceed maxBytes only if the first one alone does.
	Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error)
}

// noSource is the Source of a shim without a sidecar, if the service has none.
type noSource struct{}

func (noSource) LedgerID() string { return "none" }
func (noSource) Head() uint64     { return 0 }

func (noSource) Read(ctx context.Context, _ uint64, _, _ int) ([][]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
