package store

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

func TestReadGivesTheSameFromMemoryAndFromDisk(t *testing.T) {
	path := tempPath(t)
	s, _ := openLoaded(t, path, Options{})
	for n := range 50 {
		mustPost(t, s, deposit(n))
	}
	live, err := s.Read(t.Context(), 11, 1000, 1<<20)
	if err != nil || len(live) != 40 {
		t.Fatalf("%d events, %v", len(live), err)
	}
	s.Close()
	again, _ := openLoaded(t, path, Options{})
	stored, err := again.Read(t.Context(), 11, 1000, 1<<20)
	if err != nil || len(stored) != 40 {
		t.Fatalf("%d events, %v", len(stored), err)
	}
	for i := range live {
		if !bytes.Equal(live[i], stored[i]) {
			t.Errorf("event %d differs", i+11)
		}
	}
	mustPost(t, again, deposit(50))
	// Only one of these two events is in memory, the other on disk. Read must return at least the first.
	if events, err := again.Read(t.Context(), 50, 10, 1<<20); err != nil || len(events) == 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestReadKeepsItsLimits(t *testing.T) {
	path := tempPath(t)
	s, _ := openLoaded(t, path, Options{})
	for n := range 10 {
		mustPost(t, s, deposit(n))
	}
	check := func(s *Store) {
		t.Helper()
		for _, c := range []struct{ limit, maxBytes, want int }{{3, 1 << 20, 3}, {100, 0, 1}, {100, 1, 1}, {100, 1 << 20, 10}} {
			events, err := s.Read(t.Context(), 1, c.limit, c.maxBytes)
			if err != nil || len(events) != c.want {
				t.Errorf("limit %d, %d bytes: %d events, %v; want %d", c.limit, c.maxBytes, len(events), err, c.want)
			}
		}
		two, _ := s.Read(t.Context(), 1, 2, 1<<20)
		if events, err := s.Read(t.Context(), 1, 100, len(two[0])+len(two[1])); err != nil || len(events) != 2 {
			t.Errorf("exactly two fit: %d, %v", len(events), err)
		}
	}
	check(s)
	for _, c := range []struct {
		from  uint64
		limit int
	}{{0, 1}, {1, 0}} {
		if _, err := s.Read(t.Context(), c.from, c.limit, 1); !errors.Is(err, ErrUse) {
			t.Errorf("%v: %v", c, err)
		}
	}
	s.Close()
	again, _ := openLoaded(t, path, Options{})
	check(again)
}

func TestReadWaitsForTheNext(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	got := make(chan int)
	go func() {
		events, _ := s.Read(t.Context(), 1, 10, 1<<20)
		got <- len(events)
	}()
	mustPost(t, s, deposit(1))
	if n := <-got; n != 1 {
		t.Errorf("%d events", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Read(ctx, 2, 10, 1<<20); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing comes: %v", err)
	}
	if err := s.WaitHead(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing comes: %v", err)
	}
	if err := s.WaitHead(ctx, 1); err != nil {
		t.Errorf("it is there: %v", err)
	}
}

func TestMemoryForgetsTheOldest(t *testing.T) {
	f := feed{changed: make(chan struct{})}
	event := make([]byte, 1<<10)
	for range maxRecentBytes/len(event) + 100 {
		f.append([][]byte{event})
	}
	if f.bytes > maxRecentBytes || len(f.recent) != maxRecentBytes/len(event) {
		t.Errorf("%d bytes, %d events", f.bytes, len(f.recent))
	}
	if events, head, _ := f.take(1, 1, 1); events != nil || head != f.head {
		t.Errorf("position 1 is long gone: %d events, head %d", len(events), head)
	}
}
