// Package exact computes statistics over the entries of one (account, asset): integers only, each figure a function of
// the entries alone. What it needs while computing is pooled.
package exact

import (
	"sync"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Window is a span of time, start included, end not; the end is after the start.
type Window struct{ FromUS, ToUS int64 }

// takes selects what the statistics are over: posted, and inside. One comparison does for both ends.
func (w Window) takes(e *versions.Entry) bool {
	return e.IsPosted() && uint64(e.OccurredAtUS-w.FromUS) < uint64(w.ToUS-w.FromUS)
}

// scratch is memory to compute in. Tables by id slot are all zeros between uses, so that nobody has to clear more than
// they filled.
type scratch struct {
	sizes  []int64
	slots  []uint32
	ranks  []int
	seen   []uint64
	places []uint32
	totals []Total
	series []Bucket
}

var pool = sync.Pool{New: func() any { return new(scratch) }}

// room gives n elements of any value, reusing what is there.
func room[T any](held *[]T, n int) []T {
	if cap(*held) < n {
		*held = make([]T, n+n/4)
	}
	return (*held)[:n]
}

// split is an amount's sign, 0 for a credit and 1 for a debit, and its size: without a branch, because signs follow no
// pattern that a processor could learn.
func split(amount int64) (debit, size int64) {
	sign := amount >> 63
	return -sign, (amount ^ sign) - sign
}
