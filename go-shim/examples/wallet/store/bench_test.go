package store

import (
	"sync/atomic"
	"testing"
)

// BenchmarkPost measures a post, with its group commit and fsync, while 32 callers per core post at once.
func BenchmarkPost(b *testing.B) {
	s, _ := openLoaded(b, tempPath(b), Options{})
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Post(b.Context(), deposit(int(n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkReadHistory measures an event that is read from disk, in batches of 4 MiB, as a follower does that catches
// up.
func BenchmarkReadHistory(b *testing.B) {
	path := tempPath(b)
	s := openOnly(b, path, Options{})
	const count = 100_000
	for n := 0; n < count; n += 10_000 {
		batch := txs(n, 10_000)
		if _, err := s.AppendBatch(b.Context(), batch, false, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Load(b.Context(), new(recorder), nil); err != nil {
		b.Fatal(err)
	}
	from := uint64(1)
	b.ResetTimer()
	for done := 0; done < b.N; {
		events, err := s.Read(b.Context(), from, 10_000, 4<<20)
		if err != nil {
			b.Fatal(err)
		}
		done += len(events)
		if from += uint64(len(events)); from > count {
			from = 1
		}
	}
}

// BenchmarkAppendBatch measures one transaction of an import.
func BenchmarkAppendBatch(b *testing.B) {
	s := openOnly(b, tempPath(b), Options{})
	const size = 10_000
	for done := 0; done < b.N; done += size {
		if _, err := s.AppendBatch(b.Context(), txs(done, size), false, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPostWithTables is BenchmarkPost with the read tables, which each commit then writes too.
func BenchmarkPostWithTables(b *testing.B) {
	s := openTables(b, tempPath(b), Options{})
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Post(b.Context(), deposit(int(n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}
