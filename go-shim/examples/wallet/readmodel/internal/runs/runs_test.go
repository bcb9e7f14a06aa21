package runs

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// shapes are those of the service and ones that make short histories long.
var shapes = []Shape{DefaultShape(), {Tail: 3, Indexed: 5, Inline: 20}, {Tail: 16, Indexed: 64, Inline: 1 << 20}, {Tail: 64, Indexed: 256, Inline: 64}}

// TestRunsKnowTheirEntries compares all that a run knows of its slices with sums over the entries.
func TestRunsKnowTheirEntries(t *testing.T) {
	for name, clock := range times {
		for seed, count := range []int{1, 255, 256, 257, 2000, 9000, 40_000} {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			b := &book{store: NewStore(shapes[seed%2])}
			b.fill(random, clock, count)
			b.store.Settle()
			r, facts := only(b)
			if r == nil {
				continue
			}
			checkRun(t, random, r, b.log.newest.Load().long.names, facts)
			if t.Failed() {
				t.Fatalf("clock %s, %d entries", name, count)
			}
		}
	}
}

// TestSumsOfTheLargestAmounts checks a run whose sums don't fit int64.
func TestSumsOfTheLargestAmounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := &book{store: NewStore(DefaultShape())}
	for i := range 12_000 {
		f := someFact(random, times["late"], i, uint64(i+1))
		f.amount, f.phase = ledger.MaxAmount-random.Int64N(2), walletv1.Phase_PHASE_POSTED
		b.append(f)
	}
	b.store.Settle()
	r, facts := only(b)
	if _, fits := r.Total().Int64(); fits || r.index.totals.tables > 0 {
		t.Errorf("%v fits, or there are tables of sums that don't", r.Total().Big())
	}
	checkRun(t, random, r, b.log.newest.Load().long.names, facts)
}

// only merges all runs of posted entries and returns the run with its facts, or nil if there is none.
func only(b *book) (*Run, []fact) {
	h := b.log.newest.Load()
	if h.long == nil {
		return nil, nil
	}
	r := merge(h.long.series[0], 1)
	return r, posted(b.facts[:h.tail.start])
}

func checkRun(t *testing.T, random *rand.Rand, r *Run, names *Dictionary, facts []fact) {
	t.Helper()
	if r.Count() != len(facts) || !r.Indexed() {
		t.Errorf("%d entries, want %d", r.Count(), len(facts))
		return
	}
	// Some windows begin and end where blocks, sets and tables do.
	edges := []int{0, len(facts)}
	for _, step := range []int{256, 1 << r.index.sets.shift, r.index.totals.step} {
		for at := step; step > 0 && at < len(facts); at += step {
			edges = append(edges, at)
		}
	}
	for range 10 + 20_000/len(facts) {
		from, to := random.IntN(len(facts)+1), random.IntN(len(facts)+1)
		switch random.IntN(4) {
		case 0:
			from = edges[random.IntN(len(edges))]
		case 1:
			to = edges[random.IntN(len(edges))]
		case 2:
			from, to = edges[random.IntN(len(edges))], edges[random.IntN(len(edges))]
		}
		from, to = min(from, to), max(from, to)
		checkSearch(t, random, r, facts)
		checkSums(t, r, facts, from, to)
		checkCounterparties(t, r, names, facts, from, to)
		if t.Failed() {
			t.Errorf("[%d, %d) of %d", from, to, len(facts))
			return
		}
	}
}

func checkSearch(t *testing.T, random *rand.Rand, r *Run, facts []fact) {
	t.Helper()
	us := facts[random.IntN(len(facts))].us + random.Int64N(3) - 1
	want := sort.Search(len(facts), func(i int) bool { return facts[i].us >= us })
	if got := r.Search(us); got != want {
		t.Errorf("%d is at %d, want %d", us, got, want)
	}
	if got := r.SearchFrom(random.IntN(want+1), us); got != want {
		t.Errorf("%d is at %d, want %d", us, got, want)
	}
	at := random.IntN(len(facts))
	entry := r.Append(at, at+1, math.MaxUint64, nil)[0]
	if f := &facts[at]; r.Time(at) != f.us || entry.OccurredAtUS != f.us || entry.Amount() != f.amount || entry.Phase() != f.phase {
		t.Errorf("entry %d is %v, want %v", at, entry, f)
	}
}

func checkSums(t *testing.T, r *Run, facts []fact, from, to int) {
	t.Helper()
	var before, within rows.Standing
	squares := new(big.Int)
	least, most, credits := int64(math.MaxInt64), int64(math.MinInt64), uint64(0)
	for i, f := range facts[:to] {
		e := rows.New(f.us, f.amount, f.phase, f.slot)
		if i < from {
			before.Count(&e)
			continue
		}
		within.Count(&e)
		least, most = min(least, f.amount), max(most, f.amount)
		if f.amount > 0 {
			credits++
		}
		squares.Add(squares, new(big.Int).Mul(big.NewInt(f.amount), big.NewInt(f.amount)))
	}
	if got := r.Sides(from); got != before.Posted {
		t.Errorf("sums before: %v, want %v", got, before.Posted)
	}
	if from == to {
		return
	}
	sums, gotLeast, gotMost := r.Sum(from, to)
	square := new(big.Int).SetUint64(sums.SquaresHigh)
	square.Lsh(square, 64).Add(square, new(big.Int).SetUint64(sums.SquaresLow))
	if sums.Sides != within.Posted || sums.Credits != credits || sums.Credits+sums.Debits != uint64(to-from) ||
		gotLeast != least || gotMost != most || square.Cmp(squares) != 0 {
		t.Errorf("sums: %v, %d to %d, squares %v; want %v, %d to %d, squares %v",
			sums, gotLeast, gotMost, square, within.Posted, least, most, squares)
	}
}

// facet is what is known of a counterparty.
type facet struct{ count, size, credits uint64 }

func checkCounterparties(t *testing.T, r *Run, names *Dictionary, facts []fact, from, to int) {
	t.Helper()
	want := make(map[uint32]facet)
	for _, f := range facts[from:to] {
		known := want[f.slot]
		known.count++
		known.size += ledger.Magnitude(f.amount)
		if f.amount > 0 {
			known.credits += uint64(f.amount)
		}
		want[f.slot] = known
	}
	seen := make([]uint64, names.Size()/64+1)
	r.Unite(from, to, seen)
	var dense Dense
	dense.Reset(names.Size())
	dense.Add(r, from, to)
	for code := range uint32(names.Size()) {
		known := want[names.Slot(code)]
		if got := seen[code/64]>>(code%64)&1 == 1; got != (known.count > 0) {
			t.Errorf("counterparty %d is in the set: %v", code, got)
			return
		}
		// Sums of the largest amounts may not fit; callers don't ask then.
		if _, fits := r.Total().Int64(); !fits {
			continue
		}
		count, credits := dense.Of(code)
		if got := (facet{count, dense.Sizes[code], credits}); got != known {
			t.Errorf("counterparty %d: %v, want %v", code, got, known)
			return
		}
	}
}

// TestViewsOfOldKeepTheirEntries takes views while a log grows, and merges are done, and compares them and new views
// of the same positions with what was appended.
func TestViewsOfOldKeepTheirEntries(t *testing.T) {
	for _, shape := range shapes {
		for name, clock := range times {
			random := rand.New(rand.NewPCG(2, 2))
			b := &book{store: NewStore(shape)}
			const count = 4000
			var views []View
			position := uint64(1)
			for i := range count {
				if random.IntN(4) > 0 {
					if i > 0 && random.IntN(250) == 0 {
						views = append(views, b.log.View(uint64(len(b.facts)), position))
					}
					position += 1 + random.Uint64N(3)
				}
				if i == count/2 {
					position += 2 * math.MaxUint32
				}
				b.append(someFact(random, clock, i, position))
			}
			b.store.Settle()
			for _, v := range views {
				want := b.until(v.position)[:v.count]
				newer := b.log.View(uint64(len(b.facts)), v.position)
				raced := b.log.View(v.count, v.position)
				if !alike(shown(t, v), want, v.Names() != nil) || !alike(shown(t, raced), want, true) ||
					!alike(shown(t, newer), b.until(v.position), true) {
					t.Fatalf("%+v, clock %s: the view at %d has other entries than before", shape, name, v.position)
				}
				checkBefore(t, random, v, want)
				checkBefore(t, random, newer, b.until(v.position))
			}
		}
	}
}

func checkBefore(t *testing.T, random *rand.Rand, v View, facts []fact) {
	t.Helper()
	us := facts[random.IntN(len(facts))].us + random.Int64N(2)
	var all, before rows.Standing
	for _, f := range facts {
		e := rows.New(f.us, f.amount, f.phase, f.slot)
		all.Count(&e)
		if f.us < us {
			before.Count(&e)
		}
	}
	if got := v.All(); got != all {
		t.Errorf("all: %v, want %v", got, all)
	}
	if got := v.Before(us); got != before {
		t.Errorf("before %d: %v, want %v", us, got, before)
	}
	if v.Empty() {
		t.Error("a view with entries calls itself empty")
	}
	if v.IsWhole() && uint64(len(facts)) != v.count {
		t.Errorf("a view of %d of %d entries calls itself whole", len(facts), v.count)
	}
}

func TestNothingIsBeforeTheFirstPosition(t *testing.T) {
	b := &book{store: NewStore(DefaultShape())}
	if v := b.log.View(0, 9); !v.Empty() || !v.IsWhole() || v.Tail() != nil || v.All() != (rows.Standing{}) || v.Names() != nil {
		t.Errorf("an empty log has %v", v.All())
	}
	b.append(fact{us: 1, amount: 1, phase: walletv1.Phase_PHASE_POSTED, position: 7})
	if v := b.log.View(1, 6); !v.Empty() || v.IsWhole() || len(v.Tail()) != 0 || v.All() != (rows.Standing{}) {
		t.Errorf("before its first position a log has %v", v.All())
	}
}

// TestRunsStayFew plays many sizes of sealed tails, and looks at how often an entry is merged, too.
func TestRunsStayFew(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for _, size := range []func() int{
		func() int { return 256 }, func() int { return 1 + random.IntN(256) }, func() int { return 1 + 255*random.IntN(2) },
		func() int { return 1 << random.IntN(9) },
	} {
		var held []*Run
		merged, all, most := 0, 0, 0
		for range 20_000 {
			held = append(held, &Run{count: size()})
			all += held[len(held)-1].count
			for from, to := due(held, 0, mostEntries); from < to; from, to = due(held, 0, mostEntries) {
				sum := &Run{}
				for _, r := range held[from:to] {
					sum.count += r.count
				}
				merged += sum.count
				held = slices.Replace(held, from, to, sum)
			}
			most = max(most, len(held))
		}
		if often := float64(merged) / float64(all); most > 30 || often > 10 {
			t.Errorf("up to %d runs, each of %d entries merged %.1f times", most, all, often)
		}
	}
}

func TestDictionariesKeepTheirCodes(t *testing.T) {
	d := newDictionary()
	random := rand.New(rand.NewPCG(4, 4))
	known := map[uint32]uint32{rows.Nobody: rows.Nobody}
	for range 20_000 {
		slot := random.Uint32N(1 << random.IntN(32))
		code := d.code(slot)
		if want, ok := known[slot]; ok && code != want || !ok && int(code) != len(known) {
			t.Fatalf("slot %d has code %d of %d", slot, code, len(known))
		}
		known[slot] = code
	}
	for slot, code := range known {
		if d.Slot(code) != slot || d.code(slot) != code {
			t.Fatalf("code %d is of slot %d, want %d", code, d.Slot(code), slot)
		}
	}
	if d.Size() != len(known) {
		t.Errorf("%d codes, want %d", d.Size(), len(known))
	}
}

// TestAnEntryTakesFewBytes says what an entry takes in long and short histories, with times of whole days and with
// scattered ones.
func TestAnEntryTakesFewBytes(t *testing.T) {
	for _, c := range []struct {
		name           string
		entries, names int
		unit           int64
		most           float64
	}{
		{"long, days", 200_000, 10_000, 86_400_000_000, 26}, {"long, scattered", 200_000, 10_000, 1, 30},
		{"few counterparties", 200_000, 50, 1, 20}, {"a thousand", 1000, 50, 1, 28}, {"short", 10, 3, 1, 24},
	} {
		random := rand.New(rand.NewPCG(5, 5))
		b := &book{store: NewStore(DefaultShape())}
		for i := range c.entries {
			us := int64(i) * (4000 * 86_400_000_000 / int64(c.entries)) / c.unit * c.unit
			b.append(fact{
				us: us, amount: -1 - random.Int64N(1<<(7+random.IntN(24))), phase: walletv1.Phase_PHASE_POSTED,
				slot: 1 + uint32(random.IntN(1+random.IntN(c.names))), position: uint64(i*5 + 1),
			})
		}
		b.store.Settle()
		bytes, count := b.log.Bytes()
		each := float64(bytes) / float64(c.entries)
		t.Logf("%s: %.1f bytes an entry in %d runs", c.name, each, count)
		if each > c.most {
			t.Errorf("%s: %.1f bytes an entry, at most %v", c.name, each, c.most)
		}
	}
}
