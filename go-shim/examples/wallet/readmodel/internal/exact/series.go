package exact

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Bucket is one calendar step of a series.
type Bucket struct {
	Count uint64
	// sums has the sum of credits and the sum of debits, as |amount|.
	sums [2]ledger.Int128
}

// Credits returns the sum of the credits.
func (b *Bucket) Credits() ledger.Int128 { return b.sums[0] }

// Debits returns the sum of the debits, as |amount|.
func (b *Bucket) Debits() ledger.Int128 { return b.sums[1] }

// Net returns the credits less the debits.
func (b *Bucket) Net() ledger.Int128 { return b.sums[0].Sub(b.sums[1]) }

// Series calls take once, with the posted balance before the window, the index of the first bucket, and all buckets
// that the window touches, in order, including empty ones. take must not keep the buckets.
func Series(log versions.Log, window Window, step walletv1.Step, take func(before ledger.Int128, first int64, buckets []Bucket)) {
	memory := pool.Get().(*scratch)
	s := series{
		window: window, step: step, first: ledger.BucketIndex(step, window.FromUS),
		buckets: room(&memory.series, int(ledger.Buckets(step, window.FromUS, window.ToUS))),
	}
	clear(s.buckets)
	for run := range log.Runs() {
		s.add(run)
	}
	take(s.before, s.first, s.buckets)
	pool.Put(memory)
}

type series struct {
	window  Window
	step    walletv1.Step
	first   int64
	buckets []Bucket
	before  ledger.Int128
	// near is the bucket of the entry before. It holds the times from nearUS on, up to and without nearUS+widthUS.
	// Entries are mostly in order of time, and to stay in a bucket is cheaper than to find it again.
	near            *Bucket
	nearUS, widthUS int64
}

func (s *series) add(run []rows.Entry) {
	for i := range run {
		e := &run[i]
		at := e.OccurredAtUS
		if !e.IsPosted() || at >= s.window.ToUS {
			continue
		}
		if at < s.window.FromUS {
			s.before = s.before.AddInt64(e.Amount())
			continue
		}
		if uint64(at-s.nearUS) >= uint64(s.widthUS) {
			s.find(at)
		}
		debit, size := rows.Split(e.Amount())
		s.near.Count++
		sum := &s.near.sums[debit&1]
		*sum = sum.AddInt64(size)
	}
}

func (s *series) find(us int64) {
	index := ledger.BucketIndex(s.step, us)
	s.near = &s.buckets[index-s.first]
	s.nearUS = ledger.BucketStart(s.step, index)
	s.widthUS = ledger.BucketStart(s.step, index+1) - s.nearUS
}
