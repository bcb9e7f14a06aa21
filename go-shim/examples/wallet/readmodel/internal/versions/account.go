package versions

// Account is an account in a version, as it was at a position.
type Account struct {
	version *Version
	at      uint64
	// first is the slot of the account's newest holding in the version, or 0.
	first uint32
}

// Holding holds an account's entries in an asset. The zero Log has none.
type Holding struct {
	Asset string
	Log   Log
	// running sums up all entries that the version has. Log may hold only the first of them.
	running *Standing
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
		if v.holding(slot, l.holdings.at(slot), at).Log.count > 0 {
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
			return found, found.Log.count > 0
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
		if held.Log.count == 0 {
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
	log := Log{h.blocks.Load(), standing.Entries}
	if at != v.Position {
		log = log.until(at)
	}
	return Holding{*v.ledger.assets.at(h.asset), log, standing}
}

// Standing sums up the whole log.
func (h *Holding) Standing() Standing {
	if h.running == nil {
		return Standing{}
	}
	if h.Log.count == h.running.Entries {
		return *h.running
	}
	var s Standing
	for run := range h.Log.Runs() {
		for i := range run {
			s.count(&run[i])
		}
	}
	return s
}

// Before sums up the entries that occurred before an instant.
func (h *Holding) Before(us int64) Standing {
	if h.running == nil {
		return Standing{}
	}
	if h.Log.count == h.running.Entries && h.running.LastUS < us {
		return *h.running
	}
	var s Standing
	for run := range h.Log.Runs() {
		for i := range run {
			if run[i].OccurredAtUS < us {
				s.count(&run[i])
			}
		}
	}
	return s
}
