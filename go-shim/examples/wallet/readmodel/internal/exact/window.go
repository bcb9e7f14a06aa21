// Package exact computes statistics over the entries of one (account, asset). Results are exact integers that depend on
// the entries alone. The memory for a computation comes from a pool.
package exact

import (
	"sync"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Window is a span of time. It includes FromUS and excludes ToUS, which must be after FromUS.
type Window struct{ FromUS, ToUS int64 }

// takes returns whether the statistics include the entry: it is posted and inside the window. One unsigned comparison
// checks both ends.
func (w Window) takes(e *rows.Entry) bool {
	return e.IsPosted() && uint64(e.OccurredAtUS-w.FromUS) < uint64(w.ToUS-w.FromUS)
}

// scratch is the memory of one computation. Between uses the tables by slot (seen and places) are all zeros, so that a
// computation clears no more than it filled.
type scratch struct {
	sizes   []int64
	slots   []uint32
	ranks   []int
	seen    []uint64
	places  []uint32
	totals  []Total
	series  []Bucket
	indexed indexed
}

var pool = sync.Pool{New: func() any { return new(scratch) }}

// room returns n elements with unspecified values. It reuses the memory in held if that is long enough.
func room[T any](held *[]T, n int) []T {
	if cap(*held) < n {
		*held = make([]T, n+n/4)
	}
	return (*held)[:n]
}
