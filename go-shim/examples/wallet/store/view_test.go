package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

func mustView(t testing.TB, s *Store, at uint64) *View {
	t.Helper()
	v, err := s.View(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// postedOf returns the amounts of an account.
func postedOf(t *testing.T, v *View, accountID string) (amounts []int64) {
	t.Helper()
	held, err := v.Holdings(accountID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range held {
		err := v.Posted(&held[i], math.MinInt64, math.MaxInt64, func(_, amount, _ int64) { amounts = append(amounts, amount) })
		if err != nil {
			t.Fatal(err)
		}
	}
	return amounts
}

func TestAViewStaysAtItsPosition(t *testing.T) {
	s := openTables(t, tempPath(t), Options{})
	for n := range 6 { // entries of acct-0, acct-1, acct-2 in turn, with the amounts 1, 2, 3, …
		mustPost(t, s, deposit(n))
	}
	old, past := mustView(t, s, Newest), mustView(t, s, 3)
	defer old.Close()
	defer past.Close()
	mustPost(t, s, deposit(6))
	now := mustView(t, s, Newest)
	defer now.Close()
	for _, c := range []struct {
		v       *View
		at      uint64
		newest  bool
		amounts string
	}{{old, 6, true, "[1 4]"}, {past, 3, false, "[1]"}, {now, 7, true, "[1 4 7]"}} {
		if amounts := fmt.Sprint(postedOf(t, c.v, "acct-0")); c.v.Position() != c.at || c.v.IsNewest() != c.newest || amounts != c.amounts {
			t.Errorf("at %d, newest %v, amounts %s; want %+v", c.v.Position(), c.v.IsNewest(), amounts, c)
		}
	}
	held, err := old.Holdings("acct-0")
	if err != nil || len(held) != 1 || held[0].Entries != 2 || held[0].CreditsPosted != ledger.Int128Of(5) || held[0].LastUS != 3 {
		t.Errorf("%+v, %v", held, err)
	}
	for at, want := range map[uint64]int{0: 0, 1: 0, 2: 1, 7: 1} {
		v := mustView(t, s, at)
		if held, err := v.Holdings("acct-1"); err != nil || len(held) != want {
			t.Errorf("at %d: %d holdings, %v, want %d", at, len(held), err, want)
		}
		v.Close()
	}
	if _, err := s.View(t.Context(), 8); !errors.Is(err, ErrUse) {
		t.Errorf("a view of the future: %v", err)
	}
}

func TestAViewNeedsTables(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	if _, err := s.View(t.Context(), Newest); !errors.Is(err, ErrUse) {
		t.Errorf("got %v", err)
	}
}

func TestViewsAreBounded(t *testing.T) {
	s := openTables(t, tempPath(t), Options{Views: 1})
	mustPost(t, s, deposit(0))
	held := mustView(t, s, Newest)
	err := context.DeadlineExceeded
	// On a slow machine a tenth of a short time may pass before the answer is there.
	for wait := 100 * time.Millisecond; errors.Is(err, context.DeadlineExceeded) && wait < time.Hour; wait *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err = s.View(ctx, Newest)
		cancel()
	}
	if !errors.Is(err, ErrBusy) || s.ViewLoad() != (ViewLoad{Open: 1, Refused: 1}) {
		t.Errorf("got %v, load %+v", err, s.ViewLoad())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiters sync.WaitGroup
	for range 3 {
		waiters.Go(func() {
			if _, err := s.View(ctx, Newest); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that left: %v", err)
			}
		})
	}
	cancel()
	waiters.Wait()
	for range 3 {
		waiters.Go(func() { mustView(t, s, Newest).Close() })
	}
	held.Close()
	waiters.Wait()
	if s.ViewLoad() != (ViewLoad{Refused: 1}) {
		t.Errorf("load %+v", s.ViewLoad())
	}
}

// long is how many entries the account of longStore has: a scan takes many looks.
const long = 20 * lookEvery

// longStore opens a store in which account "a" has many entries.
func longStore(t testing.TB, options Options) *Store {
	t.Helper()
	path := tempPath(t)
	bulk := openOnly(t, path, options)
	var txs []*walletv1.Transaction
	for n := 0; n < long; {
		tx := &walletv1.Transaction{TransactionId: fmt.Sprint(n), External: true}
		for ; n < long && len(tx.GetEntries()) < ledger.MaxEntries; n++ {
			tx.Entries = append(tx.Entries, &walletv1.Entry{AccountId: "a", Asset: "GBP", Amount: 1, Phase: walletv1.Phase_PHASE_POSTED})
		}
		txs = append(txs, tx)
	}
	mustAppend(t, bulk, txs)
	if err := bulk.Close(); err != nil {
		t.Fatal(err)
	}
	return openTables(t, path, options)
}

// scanLong scans the account, calls at at its tenth entry, and returns how many entries it saw.
func scanLong(t *testing.T, v *View, at func()) (seen int, err error) {
	t.Helper()
	held, err := v.Holdings("a")
	if err != nil {
		return 0, err
	}
	err = v.Posted(&held[0], math.MinInt64, math.MaxInt64, func(int64, int64, int64) {
		if seen++; seen == 10 {
			at()
		}
	})
	return seen, err
}

func TestAScanEndsWithItsCaller(t *testing.T) {
	s := longStore(t, Options{Views: 1})
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		v, err := s.View(ctx, Newest)
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := scanLong(t, v, cancel); !errors.Is(err, context.Canceled) || seen > 2*lookEvery {
			t.Errorf("saw %d entries, %v", seen, err)
		}
		v.Close()
		cancel()
		v = mustView(t, s, Newest)
		if seen, err := scanLong(t, v, func() {}); err != nil || seen != long {
			t.Errorf("the next caller saw %d entries, %v", seen, err)
		}
		v.Close()
	}
}

func TestClosingEndsScansAndWaits(t *testing.T) {
	s := longStore(t, Options{Views: 1})
	v := mustView(t, s, Newest)
	waiting := make(chan error)
	go func() {
		_, err := s.View(t.Context(), Newest)
		waiting <- err
	}()
	closed := make(chan error)
	seen, err := scanLong(t, v, func() {
		go func() { closed <- s.Close() }()
		<-s.closing
	})
	if !errors.Is(err, ErrClosed) || seen > 2*lookEvery {
		t.Errorf("saw %d entries, %v", seen, err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("a caller that waits: %v", err)
	}
	v.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := s.View(t.Context(), Newest); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestABrokenConnectionIsReplaced checks that a connection is not used again after an error that was not the caller's.
func TestABrokenConnectionIsReplaced(t *testing.T) {
	s := openTables(t, tempPath(t), Options{Views: 1})
	mustPost(t, s, deposit(0))
	v := mustView(t, s, Newest)
	if err := v.conn.holdings.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Holdings("acct-0"); err == nil {
		t.Error("a closed statement answers")
	}
	v.Close()
	v = mustView(t, s, Newest)
	defer v.Close()
	if amounts := postedOf(t, v, "acct-0"); len(amounts) != 1 {
		t.Errorf("amounts %v", amounts)
	}
}

func TestScansReadOnlyTheirWindow(t *testing.T) {
	s := openTables(t, tempPath(t), Options{})
	for query, want := range map[string]string{
		postedEntries: "SEARCH entries USING PRIMARY KEY (holding=? AND occurred_at_us>? AND occurred_at_us<?)",
		allEntries:    "SEARCH entries USING PRIMARY KEY (holding=? AND occurred_at_us>? AND occurred_at_us<?)",
		holdingRows:   "SEARCH balances USING PRIMARY KEY (account_id=?)",
	} {
		var id, parent, unused int
		var detail string
		arguments := make([]any, strings.Count(query, "?"))
		for i := range arguments {
			arguments[i] = 5
		}
		rows, err := s.w.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, arguments...)
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		for rows.Next() {
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			steps++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || steps != 1 || detail != want {
			t.Errorf("%s\n%d steps, the last %q, %v; want %q", query, steps, detail, err, want)
		}
	}
}

// TestViewsPauseForALongLog checks that keepTrim takes the free connections while it waits for an open view.
func TestViewsPauseForALongLog(t *testing.T) {
	looks := make(chan time.Time)
	s := openTables(t, tempPath(t), Options{looks: looks, pauseAt: 1, Views: 2})
	mustPost(t, s, deposit(0))
	v := mustView(t, s, Newest)
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case looks <- time.Time{}:
			case <-ctx.Done():
				return
			}
		}
	})
	for deadline := time.Now().Add(time.Minute); s.ViewLoad().Open < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the views never paused")
			break
		}
	}
	v.Close()
	cancel()
	looking.Wait()
	// The connections that were taken come back.
	first, second := mustView(t, s, Newest), mustView(t, s, Newest)
	first.Close()
	second.Close()
}

func TestAPauseRunsWhileNoViewIsOpen(t *testing.T) {
	s := openTables(t, tempPath(t), Options{Views: 2})
	pool := s.views.Load()
	v := mustView(t, s, Newest)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pool.pause(ctx, func() { t.Error("paused although a view is open") })
	v.Close()
	ran := false
	pool.pause(t.Context(), func() {
		ran = true
		if load := s.ViewLoad(); load.Open != 2 {
			t.Errorf("a view could begin: %+v", load)
		}
	})
	if load := s.ViewLoad(); !ran || load.Open != 0 {
		t.Errorf("ran %v, then %+v", ran, load)
	}
}
