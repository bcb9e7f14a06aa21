package frontdoor

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/metrics"
)

// running bounds how many handlers of unary calls run at once. A call waits for its turn once its message has arrived:
//
//	begin ──> waiting for its message ──> queued ──> running ──> reply owed
//	            (arrivals)                 (turns)                (unread)
//
// Each handler makes a reply before it is known whether the caller takes it, so without this bound all calls of all
// callers could make theirs at the same time.
type running struct {
	turns   chan struct{}
	queued  atomic.Int64
	refused metrics.Counter
}

// begin waits for a turn. It returns an error if ctx ends first.
func (r *running) begin(ctx context.Context) error {
	select {
	case r.turns <- struct{}{}:
		return nil
	default:
	}
	r.queued.Add(1)
	defer r.queued.Add(-1)
	select {
	case r.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		r.refused.Inc()
		return status.Errorf(status.FromContextError(ctx.Err()).Code(), "%d calls were running, and this one did not get its turn in time", cap(r.turns))
	}
}

func (r *running) end() { <-r.turns }

func (r *running) count() int { return len(r.turns) }
