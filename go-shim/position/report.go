package position

import (
	"context"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Report says at which position a handler has answered: to the caller, in the response header, if its request carried an
// x-hotpath-* key, and to a shim that compares answers, in any case. A handler calls it once for each answer, which an error of
// the ledger is too. It has no effect once the headers are sent.
func Report(ctx context.Context, want Want, at uint64) {
	if seen, ok := ctx.Value(seenKey{}).(*Seen); ok {
		seen.at.Store(at)
		seen.reported.Store(true)
	}
	if want.Asked {
		// This fails only if the headers have been sent already.
		_ = grpc.SetHeader(ctx, metadata.Pairs(Key, Format(at)))
	}
}

// Seen is what a handler has reported.
type Seen struct {
	at       atomic.Uint64
	reported atomic.Bool
}

type seenKey struct{}

// Observe returns a context for a handler, and what the handler will report.
func Observe(ctx context.Context) (context.Context, *Seen) {
	seen := new(Seen)
	return context.WithValue(ctx, seenKey{}, seen), seen
}

// At returns the position that was reported last, if one was.
func (s *Seen) At() (uint64, bool) { return s.at.Load(), s.reported.Load() }

// Format writes a position as the keys have it.
func Format(at uint64) string { return strconv.FormatUint(at, 10) }
