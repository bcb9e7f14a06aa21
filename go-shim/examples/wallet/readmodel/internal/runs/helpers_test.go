package runs

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// fact is an entry as the tests remember it.
type fact struct {
	us, amount int64
	phase      walletv1.Phase
	slot       uint32
	position   uint64
}

// book is a log with all that was appended to it.
type book struct {
	store *Store
	log   Log
	facts []fact
}

func (b *book) append(f fact) {
	count := uint64(len(b.facts))
	b.facts = append(b.facts, f)
	b.store.Append(&b.log, count, f.position, entryOf(f))
}

// until returns the facts up to a position.
func (b *book) until(position uint64) []fact {
	n, _ := slices.BinarySearchFunc(b.facts, position, func(f fact, position uint64) int {
		if f.position <= position {
			return -1
		}
		return 1
	})
	return b.facts[:n]
}

// times are kinds of clocks.
var times = map[string]func(random *rand.Rand, i int) int64{
	"ascending": func(random *rand.Rand, i int) int64 { return int64(i)*1000 + random.Int64N(900) },
	"late":      func(random *rand.Rand, i int) int64 { return int64(i)*1000 - random.Int64N(2)*random.Int64N(1_000_000) },
	"days":      func(random *rand.Rand, _ int) int64 { return (random.Int64N(200) - 100) * 86_400_000_000 },
	"equal":     func(*rand.Rand, int) int64 { return -5 },
	"few": func(random *rand.Rand, _ int) int64 {
		return []int64{ledger.MinTimeUS, 0, 1, ledger.MaxTimeUS}[random.IntN(4)]
	},
}

// someFact makes an entry. Some amounts are the largest; counterparties are few and many.
func someFact(random *rand.Rand, clock func(*rand.Rand, int) int64, i int, position uint64) fact {
	f := fact{us: clock(random, i), amount: 1 + random.Int64N(1<<random.IntN(40)), phase: walletv1.Phase_PHASE_POSTED, position: position}
	if random.IntN(50) == 0 {
		f.amount = ledger.MaxAmount
	}
	if random.IntN(2) == 0 {
		f.amount = -f.amount
	}
	if random.IntN(8) == 0 {
		f.phase = phaseOf(random.IntN(phases))
	}
	if random.IntN(5) > 0 {
		f.slot = 1 + random.Uint32N(1<<random.IntN(12))*1_000_003
	}
	return f
}

// fill appends entries, some of them at the position of the one before.
func (b *book) fill(random *rand.Rand, clock func(*rand.Rand, int) int64, count int) {
	position := uint64(1)
	for i := range count {
		if random.IntN(4) > 0 {
			position += 1 + random.Uint64N(3)
		}
		b.append(someFact(random, clock, i, position))
	}
}

// posted returns the facts that statistics include, in the order of runs.
func posted(facts []fact) []fact {
	var sorted []fact
	for _, f := range facts {
		if f.phase == walletv1.Phase_PHASE_POSTED {
			sorted = append(sorted, f)
		}
	}
	slices.SortStableFunc(sorted, func(a, b fact) int { return cmp.Compare(a.us, b.us) })
	return sorted
}

// shown returns all entries of a view as facts, in no order.
func shown(t *testing.T, v View) []fact {
	t.Helper()
	var facts []fact
	take := func(e *rows.Entry, coded bool) {
		f := fact{us: e.OccurredAtUS, amount: e.Amount(), phase: e.Phase(), slot: e.Counterparty}
		if coded {
			f.slot = v.Names().Slot(f.slot)
		}
		facts = append(facts, f)
	}
	if v.count > 0 && v.history.long != nil {
		for series := range v.history.long.series {
			whole, torn := until(v.history.long.series[series], v.position)
			if torn != nil {
				whole = append(slices.Clone(whole), torn)
			}
			for _, r := range whole {
				entries := r.Append(0, r.Count(), v.Position(), nil)
				for i := range entries {
					take(&entries[i], true)
				}
			}
		}
	}
	tail := v.Tail()
	for i := range tail {
		take(&tail[i], v.Names() != nil)
	}
	return facts
}

// alike returns whether the facts are the same in any order, positions apart.
func alike(got, want []fact, coded bool) bool {
	normal := func(facts []fact) []fact {
		facts = slices.Clone(facts)
		for i := range facts {
			facts[i].position = 0
			// Codes are only for posted entries.
			if coded && facts[i].phase != walletv1.Phase_PHASE_POSTED {
				facts[i].slot = rows.Nobody
			}
		}
		slices.SortFunc(facts, func(a, b fact) int {
			return cmp.Or(cmp.Compare(a.us, b.us), cmp.Compare(a.amount, b.amount), cmp.Compare(a.phase, b.phase), cmp.Compare(a.slot, b.slot))
		})
		return facts
	}
	return slices.Equal(normal(got), normal(want))
}

func entryOf(f fact) rows.Entry { return rows.New(f.us, f.amount, f.phase, f.slot) }
