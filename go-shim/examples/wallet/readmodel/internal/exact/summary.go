package exact

import (
	"math"
	"math/bits"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Summary holds the figures of one pass over a window.
type Summary struct {
	CreditCount, DebitCount uint64
	Sums                    rows.Sides
	// Counterparties is the number of different counterparties.
	Counterparties uint64
	// Without entries the following fields have no meaning.
	Min, Max        int64
	FirstUS, LastUS int64
	squares         wide
	// Ranked holds the percentiles of |amount|, in the order of the request.
	Ranked []int64
}

// A run of entries is summed in 64 bits and its squares in 128 bits. Only the totals of a run are added to the wider
// sums. These constants fail to compile if a run's totals could overflow.
const (
	_ = uint64(math.MaxInt64/2 - versions.BlockSize*ledger.MaxAmount)
	_ = uint64(1<<127/(ledger.MaxAmount*ledger.MaxAmount) - versions.BlockSize)
)

// Count returns the number of entries in the window.
func (s *Summary) Count() int64 { return int64(s.CreditCount + s.DebitCount) }

// Summarize sums up a window. Percentiles are in basis points. ids must be greater than the highest slot in the log.
func Summarize(log versions.Log, window Window, percentiles []uint32, ids int) Summary {
	s := Summary{Min: math.MaxInt64, Max: math.MinInt64, FirstUS: math.MaxInt64, LastUS: math.MinInt64}
	memory := pool.Get().(*scratch)
	sizes, slots := room(&memory.sizes, log.Len()), room(&memory.slots, log.Len())
	n := 0
	for run := range log.Runs() {
		n += s.add(run, window, sizes[n:], slots[n:])
	}
	s.Counterparties = distinct(memory, slots[:n], ids)
	if n > 0 && len(percentiles) > 0 {
		s.Ranked = nearestRanks(memory, sizes[:n], percentiles)
	}
	pool.Put(memory)
	return s
}

// add sums up the entries of a run that are in the window. It writes their sizes and counterparties to sizes and slots,
// and returns their number.
func (s *Summary) add(run []rows.Entry, window Window, sizes []int64, slots []uint32) (n int) {
	sizes, slots = sizes[:len(run)], slots[:len(run)]
	var debits, net, gross int64
	var high, low uint64
	least, most, first, last := s.Min, s.Max, s.FirstUS, s.LastUS
	for i := range run {
		e := &run[i]
		if !window.takes(e) {
			continue
		}
		amount, at := e.Amount(), e.OccurredAtUS
		debit, size := rows.Split(amount)
		debits += debit
		net += amount
		gross += size
		h, l := bits.Mul64(uint64(size), uint64(size))
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high += h + carry
		least, most = min(least, amount), max(most, amount)
		first, last = min(first, at), max(last, at)
		sizes[n], slots[n] = size, e.Counterparty
		n++
	}
	s.CreditCount += uint64(int64(n) - debits)
	s.DebitCount += uint64(debits)
	s.Sums.Credits = s.Sums.Credits.AddInt64((gross + net) / 2)
	s.Sums.Debits = s.Sums.Debits.AddInt64((gross - net) / 2)
	s.squares = s.squares.plus(high, low)
	s.Min, s.Max, s.FirstUS, s.LastUS = least, most, first, last
	return n
}

// distinct returns the number of different slots, without Nobody.
func distinct(memory *scratch, slots []uint32, ids int) uint64 {
	seen := room(&memory.seen, ids/64+1)
	seen[rows.Nobody/64] = 1 << (rows.Nobody % 64)
	var count uint64
	for _, slot := range slots {
		word := &seen[slot/64]
		count += ^*word >> (slot % 64) & 1
		*word |= 1 << (slot % 64)
	}
	if len(slots) > len(seen) {
		clear(seen)
		return count
	}
	for _, slot := range slots {
		seen[slot/64] = 0
	}
	seen[rows.Nobody/64] = 0
	return count
}

// Stddev returns the population standard deviation, rounded down: the largest s with (s*n)² ≤ n*Σx² - (Σx)². There must
// be entries. It estimates s with floats and corrects it with integers.
func (s *Summary) Stddev() int64 {
	n := uint64(s.Count())
	target := s.squares.times(n).minus(squared(s.Sums.Net()))
	fits := func(guess uint64) bool {
		high, low := bits.Mul64(guess, n)
		return !target.less(square(high, low))
	}
	guess := uint64(math.Sqrt(target.float()) / float64(n))
	for !fits(guess) {
		guess--
	}
	for fits(guess + 1) {
		guess++
	}
	return int64(guess)
}
