package runs

import (
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// leastStep is the fewest entries between two tables of totals. Steps are whole blocks, because the builder adds blocks.
const leastStep = 1 << 12

// totals has tables of the entries before some places of a run: for each counterparty the sum of |amount|, the sum of
// the credits, and the number. The difference of two tables tells what lies between. There are at least twice as many
// entries between two tables as a table is long, so an entry has 10 bytes of them at most, and much less if there are
// few counterparties. A run whose sums do not fit int64 has none.
type totals struct {
	sizes, credits []uint64
	counts         []uint32
	// codes is the length of a table. There are tables at step, 2*step, ... and the last, of so many, at the end.
	codes, step, tables, end int
}

// newTotals makes room for the tables of a run.
func newTotals(count int, highest uint32) totals {
	t := totals{codes: int(highest) + 1, end: count}
	t.step = max(leastStep, (2*t.codes+packed.Block-1)/packed.Block*packed.Block)
	t.tables = count / t.step
	all := t.tables * t.codes
	t.sizes, t.credits, t.counts = make([]uint64, all), make([]uint64, all), make([]uint32, all)
	return t
}

// place returns where a table is; table 0 is empty and at the start.
func (t *totals) place(table int) int {
	if table == t.tables {
		return t.end
	}
	return table * t.step
}

// nearest returns the table that is nearest to a place.
func (t *totals) nearest(place int) int {
	table := min((place+t.step/2)/t.step, t.tables)
	if table == t.tables && table > 0 && t.end-place > place-t.place(table-1) {
		table--
	}
	return table
}

// tally is what a builder has added up so far. It copies itself to the next table when that is due.
type tally struct {
	sizes, credits []uint64
	counts         []uint32
	made           int
}

func (t *totals) newTally() tally {
	return tally{make([]uint64, t.codes), make([]uint64, t.codes), make([]uint32, t.codes), 0}
}

// book counts the entries from index start on. No table may be due between them, but one may be due behind them.
func (t *totals) book(so *tally, start int, codes, amounts []int64) {
	for i, code := range codes {
		debit, size := rows.Split(amounts[i])
		so.sizes[code] += uint64(size)
		so.credits[code] += uint64(size) & uint64(debit-1)
		so.counts[code]++
	}
	if so.made < t.tables && start+len(codes) == t.place(so.made+1) {
		at := so.made * t.codes
		copy(t.sizes[at:], so.sizes)
		copy(t.credits[at:], so.credits)
		copy(t.counts[at:], so.counts)
		so.made++
	}
}

// table returns the sums of |amount| of a table, which is not table 0.
func (t *totals) table(table int) []uint64 { return t.sizes[(table-1)*t.codes : table*t.codes] }

// stretch is the part of a run between two tables.
type stretch struct {
	totals   *totals
	from, to int
}

// Dense adds up by counterparty, in tables by code. Its sums must fit 63 bits.
type Dense struct {
	// Sizes has the sum of |amount| of each counterparty.
	Sizes   []uint64
	credits []uint64
	counts  []uint32
	// between has the stretches of which Sizes has the sums, but credits and counts do not.
	between []stretch
}

// Reset makes a table of zeros for so many codes.
func (d *Dense) Reset(codes int) {
	if cap(d.Sizes) < codes {
		room := codes + codes/4
		d.Sizes, d.credits, d.counts = make([]uint64, room), make([]uint64, room), make([]uint32, room)
	}
	d.Sizes, d.credits, d.counts = d.Sizes[:codes], d.credits[:codes], d.counts[:codes]
	clear(d.Sizes)
	clear(d.credits)
	clear(d.counts)
}

// Release forgets the runs, which would otherwise be kept alive.
func (d *Dense) Release() {
	clear(d.between)
	d.between = d.between[:0]
}

// Book counts an entry.
func (d *Dense) Book(code uint32, amount int64) {
	debit, size := rows.Split(amount)
	d.Sizes[code] += uint64(size)
	d.credits[code] += uint64(size) & uint64(debit-1)
	d.counts[code]++
}

// Add counts the entries [from, to) of a run of posted entries.
func (d *Dense) Add(r *Run, from, to int) {
	if r.index == nil || r.index.totals.tables == 0 {
		d.scan(r, from, to)
		return
	}
	t := &r.index.totals
	first, last := t.nearest(from), t.nearest(to)
	low, high := t.place(first), t.place(last)
	// To add a table takes about a quarter of the time of scanning as many entries.
	if first >= last || max(from-low, low-from)+max(to-high, high-to)+t.codes/4 >= to-from {
		d.scan(r, from, to)
		return
	}
	d.scan(r, from, low)
	d.scanOut(r, low, from)
	d.scan(r, high, to)
	d.scanOut(r, to, high)
	d.between = append(d.between, stretch{t, first, last})
	upper := t.table(last)
	sizes := d.Sizes[:len(upper)]
	if first == 0 {
		for code, size := range upper {
			sizes[code] += size
		}
		return
	}
	lower := t.table(first)[:len(upper)]
	for code, size := range upper {
		sizes[code] += size - lower[code]
	}
}

// scan counts the entries [from, to), if from < to.
func (d *Dense) scan(r *Run, from, to int) {
	var codes, amounts [packed.Block]int64
	for from < to {
		end := min(to, from|(packed.Block-1)+1)
		amount := r.amounts.Read(from, end, &amounts)
		for i, code := range r.codes.Read(from, end, &codes) {
			d.Book(uint32(code), amount[i])
		}
		from = end
	}
}

// scanOut takes the entries [from, to) out again, if from < to. Sums may pass zero meanwhile.
func (d *Dense) scanOut(r *Run, from, to int) {
	var codes, amounts [packed.Block]int64
	for from < to {
		end := min(to, from|(packed.Block-1)+1)
		amount := r.amounts.Read(from, end, &amounts)
		for i, code := range r.codes.Read(from, end, &codes) {
			debit, size := rows.Split(amount[i])
			d.Sizes[code] -= uint64(size)
			d.credits[code] -= uint64(size) & uint64(debit-1)
			d.counts[code]--
		}
		from = end
	}
}

// Of returns what has been counted of a counterparty. The credits are a sum.
func (d *Dense) Of(code uint32) (count, credits uint64) {
	credits, many := d.credits[code], d.counts[code]
	for i := range d.between {
		t := d.between[i].totals
		if int(code) >= t.codes {
			continue
		}
		upper := (d.between[i].to-1)*t.codes + int(code)
		credits, many = credits+t.credits[upper], many+t.counts[upper]
		if d.between[i].from > 0 {
			lower := (d.between[i].from-1)*t.codes + int(code)
			credits, many = credits-t.credits[lower], many-t.counts[lower]
		}
	}
	return uint64(many), credits
}
