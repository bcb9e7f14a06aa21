// Package readmodel answers the CPU-heavy reads from memory. Every answer is a pure function of (position, request);
// proto/wallet/v1 says which.
//
// There are two models behind one interface. [Legacy] is what such a service grows up with: a lock, maps, slices and
// scans. [Best] does what the sidecar does, as well as Go can: immutable versions behind one atomic pointer, so that
// readers never lock, compact entries in which the garbage collector has nothing to follow, selection where only some
// ranks are wanted, and pooled memory. Their answers are the same bytes.
package readmodel

import (
	"fmt"
	"math"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Newest asks for the answer at whatever position is the newest when the model is read.
const Newest uint64 = math.MaxUint64

// ReadModel holds the whole ledger in the shape that the reads need. Requests have been checked by the ledger
// package, and a position asked for is [Newest] or not above Position. Answers say at which position they are;
// their errors are verdicts of the ledger package and hold at that position too. Safe for concurrent use.
type ReadModel interface {
	// Apply adds the transaction after Position; a gap panics, because the caller's history is broken. What it needs
	// of tx is copied or shared, so tx must not change afterwards.
	Apply(tx *walletv1.Transaction)
	Position() uint64
	// Size is how much the model holds, for metrics.
	Size() Size

	GetBalance(at uint64, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, uint64, error)
	BatchGetBalances(at uint64, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, uint64, error)
	GetStatistics(at uint64, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, uint64, error)
	GetTopCounterparties(at uint64, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, uint64, error)
	GetTimeSeries(at uint64, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, uint64, error)
}

// Size counts what a model holds.
type Size struct {
	Accounts uint64
	Entries  uint64
}

// Names of the read models that [New] knows.
const (
	NameLegacy = "legacy"
	NameBest   = "best"
)

// Names lists them, for usage texts.
func Names() []string { return []string{NameLegacy, NameBest} }

// New makes the empty read model of that name.
func New(name string) (ReadModel, error) {
	switch name {
	case NameLegacy:
		return NewLegacy(), nil
	case NameBest:
		return NewBest(), nil
	}
	return nil, fmt.Errorf("no read model is called %q: choose from %s", name, strings.Join(Names(), ", "))
}
