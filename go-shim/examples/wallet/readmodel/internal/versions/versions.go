// Package versions keeps a ledger in memory as immutable versions, one for each position. One writer makes them.
// Readers take the newest version by one atomic load, never lock, and may keep a version for as long as they like.
//
// Ids, assets and holdings have slots: numbers that index tables. A holding is one (account, asset).
//
//	Ledger.newest ──> Version ──> standings: by holding slot, the sums of the entries  (copied on write)
//	Ledger.ids     id    ──> slot                                                     (shared, only grows)
//	Ledger.heads   account's slot ──> newest holding ──next──> older holding ...       (shared, only grows)
//	                                      └──> blocks ──> entries, in booking order    (shared, only grows)
//
// An indexed ledger has the entries of a holding in a [runs.Log] instead of blocks.
//
// A version skips holdings and entries that are newer than itself.
package versions

import (
	"fmt"
	"sync/atomic"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
)

// Ledger is what the writer changes and what all versions share. Ids, assets and logs only grow; each version has
// counts that say how much of them it may use.
type Ledger struct {
	newest atomic.Pointer[Version]

	ids *names
	// heads has the slot of each account's newest holding, by the account's slot.
	heads    column[atomic.Uint32]
	holdings column[holding]
	assets   column[string]
	// assetSlots is used only by the writer.
	assetSlots map[string]uint32
	// runs is nil if the ledger is not indexed.
	runs *runs.Store
}

// holding is one (account, asset). asset and next are written once.
type holding struct {
	asset uint32
	// next is the slot of the account's next older holding, or 0. Newer holdings come first, so that a version can skip
	// those that it does not have.
	next uint32
	// Only one of these two has entries: runs if the ledger is indexed.
	blocks atomic.Pointer[blocks]
	runs   runs.Log
}

// Version is the ledger at one position.
type Version struct {
	Position uint64
	Accounts uint64
	Entries  uint64

	ledger *Ledger
	// holdings is one more than the highest slot of a holding. Slot 0 is not used.
	holdings  uint32
	standings tree
}

// NewIndexed returns an empty ledger, at position 0, whose holdings have their entries in runs.
func NewIndexed(shape runs.Shape) *Ledger {
	l := New()
	l.runs = runs.NewStore(shape)
	return l
}

// New returns an empty ledger, at position 0, whose holdings have their entries in logs.
func New() *Ledger {
	l := &Ledger{ids: newNames(), assetSlots: make(map[string]uint32)}
	l.heads.reserve(Nobody)
	l.newest.Store(&Version{ledger: l, holdings: 1})
	return l
}

// Newest returns the newest version.
func (l *Ledger) Newest() *Version { return l.newest.Load() }

// Apply makes the version after the newest. It panics at a gap. There must be one caller at a time.
func (l *Ledger) Apply(tx *walletv1.Transaction) {
	old := l.newest.Load()
	if tx.GetPosition() != old.Position+1 {
		panic(fmt.Sprintf("readmodel: position %d after %d", tx.GetPosition(), old.Position))
	}
	v := new(Version)
	*v = *old
	v.Position = tx.GetPosition()
	v.standings = append(make(tree, 0, len(old.standings)+1), old.standings...)
	for _, e := range tx.GetEntries() {
		l.book(v, tx.GetOccurredAtUs(), e)
	}
	v.Entries += uint64(len(tx.GetEntries()))
	l.newest.Store(v)
}

func (l *Ledger) book(v *Version, occurredAtUS int64, e *walletv1.Entry) {
	// This must come before readers can find the ids.
	l.heads.reserve(l.ids.size() + 1)
	account := l.ids.intern(e.GetAccountId())
	booked := rows.New(occurredAtUS, e.GetAmount(), e.GetPhase(), l.ids.intern(e.GetCounterparty()))
	slot := l.hold(v, account, l.asset(e.GetAsset()))
	standing := v.standings.own(slot, v.Position)
	h := l.holdings.at(slot)
	if l.runs != nil {
		l.runs.Append(&h.runs, standing.Entries, v.Position, booked)
	} else {
		old := h.blocks.Load()
		if grown := old.add(standing.Entries, v.Position, booked); grown != old {
			h.blocks.Store(grown)
		}
	}
	standing.Count(&booked)
}

// hold returns the slot of an account's holding of an asset. It makes the holding if there is none.
func (l *Ledger) hold(v *Version, account, asset uint32) uint32 {
	head := l.heads.at(account)
	first := head.Load()
	for slot := first; slot != 0; slot = l.holdings.at(slot).next {
		if l.holdings.at(slot).asset == asset {
			return slot
		}
	}
	if first == 0 {
		v.Accounts++
	}
	slot := v.holdings
	v.holdings++
	l.holdings.reserve(slot)
	h := l.holdings.at(slot)
	h.asset, h.next = asset, first
	head.Store(slot)
	return slot
}

func (l *Ledger) asset(name string) uint32 {
	if slot, known := l.assetSlots[name]; known {
		return slot
	}
	slot := uint32(len(l.assetSlots))
	l.assets.reserve(slot)
	*l.assets.at(slot) = name
	l.assetSlots[name] = slot
	return slot
}

// Settle waits until an indexed ledger has no large merge left to do. Readers need not wait for that.
func (l *Ledger) Settle() {
	if l.runs != nil {
		l.runs.Settle()
	}
}
