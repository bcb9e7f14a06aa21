package exact

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// Bucket is one calendar step of a series.
type Bucket struct {
	Count uint64
	// sums of credits and debits.
	sums [2]ledger.Int128
}

// Credits is the sum of the credits.
func (b *Bucket) Credits() ledger.Int128 { return b.sums[0] }

// Debits is the sum of the debits, as |amount|.
func (b *Bucket) Debits() ledger.Int128 { return b.sums[1] }

// Net is what the credits exceed the debits by.
func (b *Bucket) Net() ledger.Int128 { return b.sums[0].Sub(b.sums[1]) }

// Series hands over each bucket that the window touches, in order, empty ones included, after the posted balance before
// the window. The buckets must not be kept.
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
	// Histories are mostly in order of time, and to stay in a bucket is cheaper than to find it again: near is the one
	// that holds the times from nearUS on, nearUS+widthUS not included.
	near            *Bucket
	nearUS, widthUS int64
}

func (s *series) add(run []versions.Entry) {
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
		debit, size := split(e.Amount())
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
