// Package budget bounds how many requests are asked of a sidecar in vain. A breaker opens after failures in a row. It does not see
// a sidecar that is too slow for every third request: each of those costs the caller the time of a hop and the service the
// same work as without a sidecar. A budget goes by the share of such hops:
//
//	an answer: + share ──> ┌────────────┐          below half: one request of Every is forwarded
//	                       │ 0 … Tokens │ ───────> at half or above: all are
//	no answer: - 1 ──────> └────────────┘
//
// So while more than this share of the hops is in vain, requests stay local, but for those that find out when this ends. The
// rule is that of gRPC's retry throttling (gRFC A6), applied to the first attempt, because the fallback is the second.
package budget

import "sync/atomic"

const (
	// Tokens is how many hops in a row may be in vain before requests stay local: half of it.
	Tokens = 20
	// Every is one in how many requests is forwarded while the budget is spent.
	Every = 10

	unit = 1000
	full = Tokens * unit
)

// Budget is the budget of one method at one sidecar. Its methods may be called from any goroutine.
type Budget struct {
	// share is what an answer gives back, in thousandths of a token. 0 means that there is no bound.
	share  int64
	tokens atomic.Int64
	turns  atomic.Uint64
}

// New makes a full budget. share is the share of hops that may be in vain, above 0 and at most 1; 0 is no bound.
func New(share float64) *Budget {
	b := &Budget{share: int64(share * unit)}
	b.tokens.Store(full)
	return b
}

// Allow says whether a request may be forwarded.
func (b *Budget) Allow() bool {
	return !b.Spent() || b.turns.Add(1)%Every == 0
}

// Spent says whether requests stay local.
func (b *Budget) Spent() bool { return b.share > 0 && b.tokens.Load() < full/2 }

// Success counts an answer. While nothing fails, it only reads.
func (b *Budget) Success() {
	if b.tokens.Load() < full {
		b.add(b.share)
	}
}

// Vain counts a hop without an answer.
func (b *Budget) Vain() { b.add(-unit) }

// Doubt counts one that may be the request's own fault, as a twentieth.
func (b *Budget) Doubt() { b.add(-unit / 20) }

// Reset fills the budget.
func (b *Budget) Reset() { b.tokens.Store(full) }

func (b *Budget) add(n int64) {
	for {
		before := b.tokens.Load()
		after := max(0, min(full, before+n))
		if before == after || b.tokens.CompareAndSwap(before, after) {
			return
		}
	}
}
