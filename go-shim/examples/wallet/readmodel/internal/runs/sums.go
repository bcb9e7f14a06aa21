package runs

import (
	"math/bits"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// Sums adds up entries.
type Sums struct {
	Credits, Debits uint64
	Sides           rows.Sides
	// The sum of the squares of the amounts is SquaresHigh*2^64 + SquaresLow.
	SquaresHigh, SquaresLow uint64
}

// sumOf adds up the amounts of at most one block.
func sumOf(amounts []int64) Sums {
	var debits, net, gross int64
	var high, low uint64
	for _, amount := range amounts {
		debit, size := rows.Split(amount)
		debits += debit
		net += amount
		gross += size
		h, l := bits.Mul64(uint64(size), uint64(size))
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high += h + carry
	}
	return Sums{
		Credits: uint64(int64(len(amounts)) - debits), Debits: uint64(debits),
		Sides: sidesOf(net, gross), SquaresHigh: high, SquaresLow: low,
	}
}

func sidesOf(net, gross int64) rows.Sides {
	return rows.Sides{Credits: ledger.Int128Of((gross + net) / 2), Debits: ledger.Int128Of((gross - net) / 2)}
}

// Plus returns the sums of both.
func (s *Sums) Plus(other *Sums) Sums {
	low, carry := bits.Add64(s.SquaresLow, other.SquaresLow, 0)
	return Sums{
		s.Credits + other.Credits, s.Debits + other.Debits, s.Sides.Plus(&other.Sides),
		s.SquaresHigh + other.SquaresHigh + carry, low,
	}
}

// Minus returns the sums of the entries that other does not have.
func (s *Sums) Minus(other *Sums) Sums {
	low, borrow := bits.Sub64(s.SquaresLow, other.SquaresLow, 0)
	return Sums{
		s.Credits - other.Credits, s.Debits - other.Debits, s.Sides.Minus(&other.Sides),
		s.SquaresHigh - other.SquaresHigh - borrow, low,
	}
}

// bounds is the least and the most of some amounts.
type bounds struct{ least, most int64 }

func (b *bounds) take(other bounds) {
	b.least, b.most = min(b.least, other.least), max(b.most, other.most)
}

func boundsOf(amounts []int64) bounds {
	b := bounds{amounts[0], amounts[0]}
	for _, amount := range amounts {
		b.least, b.most = min(b.least, amount), max(b.most, amount)
	}
	return b
}

// Sum adds up the entries [from, to) of an indexed run and returns the least and the most amount. There must be
// entries.
func (r *Run) Sum(from, to int) (sums Sums, least, most int64) {
	var decoded [packed.Block]int64
	first, last := (from+packed.Block-1)>>packed.BlockBits, to>>packed.BlockBits
	if to == r.count {
		last = r.blocks()
	}
	if first > last {
		amounts := r.amounts.Read(from, to, &decoded)
		b := boundsOf(amounts)
		return sumOf(amounts), b.least, b.most
	}
	sums = r.marks[last].Minus(&r.marks[first])
	b := r.index.extremes.between(r.blocks(), first, last)
	for _, edge := range [2][2]int{{from, min(to, first<<packed.BlockBits)}, {last << packed.BlockBits, to}} {
		if edge[0] < edge[1] {
			amounts := r.amounts.Read(edge[0], edge[1], &decoded)
			part := sumOf(amounts)
			sums = sums.Plus(&part)
			b.take(boundsOf(amounts))
		}
	}
	return sums, b.least, b.most
}

// Sides adds up the entries before an index, from the nearer end of its block.
func (r *Run) Sides(end int) rows.Sides {
	block := end >> packed.BlockBits
	within := end & (packed.Block - 1)
	if within == 0 {
		return r.marks[block].Sides
	}
	next := min(r.count, (block+1)<<packed.BlockBits)
	if within <= next-end {
		part := sidesOf(r.amounts.Sum(end-within, end))
		return r.marks[block].Sides.Plus(&part)
	}
	part := sidesOf(r.amounts.Sum(end, next))
	return r.marks[block+1].Sides.Minus(&part)
}
