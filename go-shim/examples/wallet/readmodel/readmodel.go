// Package readmodel answers the CPU-heavy reads. Every answer is a pure function of (position, request),
// which proto/wallet/v1 defines.
//
// There are three models behind one interface. [Legacy] is what such a service usually starts with: a lock, maps, slices
// and scans. [Best] does what the sidecar does, as well as Go can. It has immutable versions behind one atomic pointer,
// so that readers never lock; compact entries without pointers that the garbage collector would have to follow; an index
// of long histories, so that statistics do not scan them; and pooled memory. Best also comes without the index; it then
// scans, and selects instead of sorting where only some ranks are wanted. [Stored] holds nothing and reads the database,
// for a service whose sidecar has the one copy of the ledger in memory. All give the same answers, byte for byte.
package readmodel

import (
	"context"
	"fmt"
	"math"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// Newest, as a position, asks for the answer at the newest position of the model.
const Newest uint64 = math.MaxUint64

// ReadModel holds the whole ledger in the shape that the reads need. Callers must have checked requests with the ledger
// package, and must ask at [Newest] or at a position not above Position. Each read returns the position of its answer.
// Its error is an Error of the ledger package and holds at that position too. A ReadModel is safe for concurrent use.
type ReadModel interface {
	// Apply adds the transaction after Position. It panics at a gap, because the caller's history is then broken. The
	// model may share memory with tx, so tx must not change afterwards.
	Apply(tx *walletv1.Transaction)
	Position() uint64
	// Size returns how much the model holds, for metrics.
	Size() Size

	GetBalance(at uint64, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, uint64, error)
	BatchGetBalances(at uint64, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, uint64, error)
	GetStatistics(at uint64, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, uint64, error)
	GetTopCounterparties(at uint64, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, uint64, error)
	GetTimeSeries(at uint64, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, uint64, error)
}

// Bounded is a ReadModel whose reads take long enough to be given up.
type Bounded interface {
	ReadModel
	// Within returns the model for one caller, whose context ends its reads.
	Within(ctx context.Context) ReadModel
}

// Size counts what a model holds.
type Size struct {
	Accounts uint64
	Entries  uint64
}

// These are the names of the read models.
const (
	NameLegacy   = "legacy"
	NameBestScan = "best-scan"
	NameBest     = "best"
	NameStore    = "store"
)

// Names lists the names of the read models that [New] can make.
func Names() []string { return []string{NameLegacy, NameBestScan, NameBest} }

// AllNames lists the names of the read models that [For] can make, for usage texts.
func AllNames() []string { return append(Names(), NameStore) }

// For returns a read model of that name for a ledger, which must then be loaded with it.
func For(from *store.Store, name string) (ReadModel, error) {
	if name == NameStore {
		return NewStored(from), nil
	}
	return New(name)
}

// New returns an empty read model of that name, which keeps the ledger in memory.
func New(name string) (ReadModel, error) {
	switch name {
	case NameLegacy:
		return NewLegacy(), nil
	case NameBestScan:
		return NewBestScan(), nil
	case NameBest:
		return NewBest(), nil
	}
	return nil, fmt.Errorf("no read model is called %q: choose from %s", name, strings.Join(Names(), ", "))
}
