package runs

import (
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/wavelet"
)

// row is a decoded entry.
type row struct {
	us, amount int64
	position   uint64
	code       uint32
}

// plan is what a builder must know of a run before it gets the first row.
type plan struct {
	phase       walletv1.Phase
	count       int
	highest     uint32 // the highest code of a counterparty
	first, last uint64 // the lowest and the highest position
	total       ledger.Int128
}

// builder makes a run from rows in the order of the run.
type builder struct {
	run  *Run
	sums Sums

	pending [packed.Block]row
	held    int
	done    int // rows that are in the columns

	// The following is used only for runs with an index.
	blocks []bounds
	sizes  []uint64
	spare  []uint64
	tally  tally

	times, amounts, positions, codes packed.Builder
}

var builders = sync.Pool{New: func() any { return new(builder) }}

// newBuilder begins a run, which has an index if it has at least so many entries.
func newBuilder(p *plan, indexed int) *builder {
	b := builders.Get().(*builder)
	b.run = &Run{
		phase: p.phase, count: p.count, first: p.first, last: p.last, highest: p.highest,
		marks: append(make([]Sums, 0, (p.count+packed.Block-1)/packed.Block+1), Sums{}),
	}
	b.sums, b.held, b.done = Sums{}, 0, 0
	for _, column := range []*packed.Builder{&b.times, &b.amounts, &b.positions, &b.codes} {
		column.Reset()
	}
	if !b.run.posted() || p.count < indexed {
		return b
	}
	x := &index{sets: newSets(p.count, p.highest)}
	if _, fits := p.total.Int64(); fits {
		if x.totals = newTotals(p.count, p.highest); x.totals.tables > 0 {
			b.tally = x.totals.newTally()
		}
	}
	b.run.index = x
	b.blocks = b.blocks[:0]
	if cap(b.sizes) < p.count {
		b.sizes, b.spare = make([]uint64, 0, p.count), make([]uint64, p.count)
	}
	b.sizes = b.sizes[:0]
	return b
}

func (b *builder) add(rows []row) {
	for len(rows) > 0 {
		n := copy(b.pending[b.held:], rows)
		rows = rows[n:]
		if b.held += n; b.held == packed.Block {
			b.flush()
		}
	}
}

// flush encodes the pending rows as a block.
func (b *builder) flush() {
	held := b.pending[:b.held]
	var memory, amountMemory [packed.Block]int64
	column := memory[:len(held)]
	for i := range held {
		column[i] = held[i].us
	}
	b.times.Append(column, packed.UnitOf(column))
	if b.done == 0 {
		b.run.firstUS = held[0].us
	}
	b.run.lastUS = held[len(held)-1].us
	for i := range held {
		column[i] = int64(held[i].position)
	}
	b.positions.Append(column, 1)
	amounts := amountMemory[:len(held)]
	for i := range held {
		amounts[i] = held[i].amount
	}
	b.amounts.Append(amounts, 1)
	block := sumOf(amounts)
	b.sums = b.sums.Plus(&block)
	b.run.marks = append(b.run.marks, b.sums)
	if b.run.posted() {
		for i := range held {
			column[i] = int64(held[i].code)
		}
		b.codes.Append(column, 1)
		if b.run.index != nil {
			b.enter(column, amounts)
		}
	}
	b.done += len(held)
	b.held = 0
}

// enter puts a block into the index.
func (b *builder) enter(codes, amounts []int64) {
	x := b.run.index
	b.blocks = append(b.blocks, boundsOf(amounts))
	for _, amount := range amounts {
		_, size := rows.Split(amount)
		b.sizes = append(b.sizes, uint64(size))
	}
	x.sets.book(b.done, codes)
	if x.totals.tables > 0 {
		x.totals.book(&b.tally, b.done, codes, amounts)
	}
}

// mostKept is the longest run of which a builder keeps the memory for the next one.
const mostKept = 1 << 16

// end returns the run. The builder must not be used afterwards.
func (b *builder) end() *Run {
	if b.held > 0 {
		b.flush()
	}
	r := b.run
	r.times, r.amounts, r.positions = b.times.Column(), b.amounts.Column(), b.positions.Column()
	if r.posted() {
		r.codes = b.codes.Column()
	}
	if x := r.index; x != nil {
		x.extremes = extremesOf(b.blocks)
		x.sets.rise()
		x.sizes = wavelet.New(b.sizes, b.spare)
	}
	b.run, b.tally = nil, tally{}
	if r.count <= mostKept {
		builders.Put(b)
	}
	return r
}
