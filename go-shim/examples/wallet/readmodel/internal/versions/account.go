package versions

import (
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
)

// Account is an account in a version, as it was at a position.
type Account struct {
	version *Version
	at      uint64
	// first is the slot of the account's newest holding in the version, or 0.
	first uint32
}

// Holding holds an account's entries in an asset. Ledgers have them in runs if they are indexed, else in logs. The zero
// Log and the zero View have none.
type Holding struct {
	Asset string
	Log   Log
	Runs  runs.View
	// Indexed says that the entries are in Runs.
	Indexed bool
	// newest says that the holding is as it was at its version's position, not at one before.
	newest bool
	// running sums up all entries that the version has. Log or Runs may hold only the first of them.
	running *rows.Standing
}

func (h *Holding) isEmpty() bool {
	switch {
	case h.newest:
		return h.running.Entries == 0
	case h.Indexed:
		return h.Runs.Empty()
	}
	return h.Log.count == 0
}

// isWhole returns whether running certainly sums up what the holding has.
func (h *Holding) isWhole() bool {
	switch {
	case h.newest:
		return true
	case h.Indexed:
		return h.Runs.IsWhole()
	}
	return h.Log.count == h.running.Entries
}

// Ids returns one more than the highest slot that an entry may name.
func (v *Version) Ids() int { return int(v.ledger.ids.size()) }

// Name returns the id of a slot. The caller must not change it.
func (v *Version) Name(slot uint32) []byte { return v.ledger.ids.name(slot) }

// Account returns an account, and false if it had no entry at the position. The position must not be after the
// version's.
func (v *Version) Account(id string, at uint64) (Account, bool) {
	l := v.ledger
	first := l.heads.at(l.ids.find(id)).Load()
	for first >= v.holdings {
		first = l.holdings.at(first).next
	}
	a := Account{v, at, first}
	if at == v.Position {
		return a, first != 0
	}
	for slot := first; slot != 0; slot = l.holdings.at(slot).next {
		if held := v.holding(slot, l.holdings.at(slot), at); !held.isEmpty() {
			return a, true
		}
	}
	return a, false
}

// Holding returns the account's holding of an asset, and false if the account had no entry in it.
func (a Account) Holding(asset string) (Holding, bool) {
	l := a.version.ledger
	for slot := a.first; slot != 0; {
		h := l.holdings.at(slot)
		if *l.assets.at(h.asset) == asset {
			found := a.version.holding(slot, h, a.at)
			return found, !found.isEmpty()
		}
		slot = h.next
	}
	return Holding{}, false
}

// AppendHoldings appends all holdings of the account, in ascending order of their assets.
func (a Account) AppendHoldings(to []Holding) []Holding {
	l := a.version.ledger
	already := len(to)
	for slot := a.first; slot != 0; {
		h := l.holdings.at(slot)
		held := a.version.holding(slot, h, a.at)
		slot = h.next
		if held.isEmpty() {
			continue
		}
		to = append(to, held)
		for i := len(to) - 1; i > already && to[i-1].Asset > held.Asset; i-- {
			to[i-1], to[i] = to[i], to[i-1]
		}
	}
	return to
}

func (v *Version) holding(slot uint32, h *holding, at uint64) Holding {
	standing := v.standings.get(slot)
	found := Holding{Asset: *v.ledger.assets.at(h.asset), running: standing, newest: at == v.Position}
	if v.ledger.runs != nil {
		found.Indexed, found.Runs = true, h.runs.View(standing.Entries, at)
		return found
	}
	if found.Log = (Log{h.blocks.Load(), standing.Entries}); !found.newest {
		found.Log = found.Log.until(at)
	}
	return found
}

// Standing sums up all entries of the holding.
func (h *Holding) Standing() rows.Standing {
	switch {
	case h.running == nil:
		return rows.Standing{}
	case h.isWhole():
		return *h.running
	case h.Indexed:
		return h.Runs.All()
	}
	var s rows.Standing
	for run := range h.Log.Runs() {
		for i := range run {
			s.Count(&run[i])
		}
	}
	return s
}

// Before sums up the entries that occurred before an instant.
func (h *Holding) Before(us int64) rows.Standing {
	switch {
	case h.running == nil:
		return rows.Standing{}
	case h.isWhole() && h.running.LastUS < us:
		return *h.running
	case h.Indexed:
		return h.Runs.Before(us)
	}
	var s rows.Standing
	for run := range h.Log.Runs() {
		for i := range run {
			if run[i].OccurredAtUS < us {
				s.Count(&run[i])
			}
		}
	}
	return s
}
