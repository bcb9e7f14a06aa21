package shim

import "context"

// Source is the ledger that feeds the sidecar: the durable, gapless sequence of events that the sidecar's answers
// are a function of. Its methods are called from several goroutines.
type Source interface {
	// LedgerID is the identity that the store was created with: 1-64 bytes of printable ASCII without spaces.
	LedgerID() string
	// Head is the position of the last durable event that this process has committed and that its own reads show;
	// 0 if there is none. It never goes back.
	Head() uint64
	// Read returns 1 to limit events, as the sidecar's model decodes them, the first of them at position from (>= 1),
	// without gaps. It waits until there is one, or until ctx ends. The caller must not change the bytes. Events together
	// may pass maxBytes only if the first alone does.
	Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error)
}
