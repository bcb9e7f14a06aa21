package store

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/ledger"
)

func TestGroupCommitKeepsPositionsGaplessAndInOrder(t *testing.T) {
	const posters, each = 32, 40
	var mu sync.Mutex
	largest := 0 // only the committer uses it until all is posted
	var s *Store
	var model *recorder
	s, model = openLoaded(t, tempPath(t), Options{OnCommit: func(c Commit) {
		// The committer waits after a commit of a single post until two more wait, so that they share the next commit
		// on any machine.
		for largest < 2 && c.Transactions < 2 && len(s.queue) < 2 {
			runtime.Gosched()
		}
		largest = max(largest, c.Transactions)
	}})
	positions := make([]string, posters*each+1)
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				tx := deposit(p*each + i)
				position, _, err := s.Post(t.Context(), tx)
				if err != nil {
					t.Error(err)
					return
				}
				// A caller that has its answer must be able to read the transaction.
				if s.Head() < position || model.count() < int(position) {
					t.Errorf("position %d answered before it shows", position)
				}
				mu.Lock()
				positions[position] = tx.GetTransactionId()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	events, err := s.Read(t.Context(), 1, posters*each+1, 1<<30)
	if err != nil || len(events) != posters*each {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for i, event := range events {
		tx, err := ledger.DecodeEvent(event)
		if err != nil || tx.GetPosition() != uint64(i+1) || tx.GetTransactionId() != positions[i+1] {
			t.Fatalf("event %d is %v, %v; want %s", i+1, tx, err, positions[i+1])
		}
		if model.applied[i].GetTransactionId() != tx.GetTransactionId() {
			t.Fatalf("the model got %s at %d", model.applied[i].GetTransactionId(), i+1)
		}
	}
	if largest < 2 {
		t.Error("no two of 32 concurrent posts shared a commit")
	}
}

func TestConcurrentRepeatsShareOnePosition(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if position, _, err := s.Post(t.Context(), deposit(1)); position != 1 || err != nil {
				t.Errorf("got %d, %v", position, err)
			}
		})
	}
	wg.Wait()
	if s.Head() != 1 {
		t.Errorf("head %d", s.Head())
	}
}

func TestAFullDiskLosesNothingAndPasses(t *testing.T) {
	s, model := openLoaded(t, tempPath(t), Options{})
	mustPost(t, s, deposit(0))
	limit := func(pages int) {
		t.Helper()
		var got int
		if err := s.w.conn.QueryRowContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite raises this to the present size
	failed := 0
	for n := 1; n < 500 && failed < 20; n++ {
		tx := deposit(n)
		tx.Entries[0].Kind = strings.Repeat("k", 32)
		head := s.Head()
		_, _, err := s.Post(t.Context(), tx)
		if err == nil {
			continue
		}
		failed++
		if !errors.Is(err, ErrCommit) || !strings.Contains(err.Error(), "free space, then post again") {
			t.Fatalf("the error must say what to do: %v", err)
		}
		if s.Head() != head || model.count() != int(head) {
			t.Fatalf("a failed post shows: head %d, applied %d, before %d", s.Head(), model.count(), head)
		}
		if tx, err := s.Transaction(t.Context(), head); err != nil || tx.GetPosition() != head {
			t.Fatalf("reads must go on: %v", err)
		}
	}
	if failed < 20 {
		t.Fatal("the disk never filled up")
	}
	limit(1 << 20)
	head := s.Head()
	for n := range 600 {
		tx := deposit(n)
		if n > 0 && n < 500 {
			tx.Entries[0].Kind = strings.Repeat("k", 32)
		}
		mustPost(t, s, tx)
	}
	if s.Head() != 600 || head >= 600 || model.count() != 600 {
		t.Errorf("head %d, applied %d, want 600", s.Head(), model.count())
	}
}

func TestCloseAnswersEveryPost(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	var wg sync.WaitGroup
	acknowledged := make(chan uint64, 1000)
	for p := range 8 {
		wg.Go(func() {
			for n := p; ; n += 8 {
				position, _, err := s.Post(t.Context(), deposit(n))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("got %v", err)
					return
				}
				acknowledged <- position
			}
		})
	}
	for range 20 {
		<-acknowledged
	}
	go func() {
		for range acknowledged { // keeps the posters going
		}
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	close(acknowledged)
	if _, _, err := s.Post(t.Context(), deposit(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPostNeedsLoad(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	if _, _, err := s.Post(t.Context(), deposit(1)); !errors.Is(err, ErrUse) {
		t.Errorf("got %v", err)
	}
}

// A commit can fail after it became durable. Then the error must not say that nothing was posted.
func TestCommitInDoubtIsNotCalledUndone(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	if _, _, err := s.Post(t.Context(), deposit(1)); err != nil {
		t.Fatal(err)
	}
	s.w.next-- // as if the commit had failed
	s.w.recover(t.Context())
	_, _, err := s.Post(t.Context(), deposit(2))
	if !errors.Is(err, ErrInDoubt) || errors.Is(err, ErrCommit) {
		t.Fatalf("got %v", err)
	}
}
