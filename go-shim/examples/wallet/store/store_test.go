package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

func TestPostingTwiceReturnsTheFirstPosition(t *testing.T) {
	s, model := openLoaded(t, tempPath(t), Options{})
	mustPost(t, s, deposit(1))
	first := mustPost(t, s, deposit(2))
	position, already, err := s.Post(t.Context(), deposit(2))
	if position != first || !already || err != nil {
		t.Errorf("got %d, %v, %v; want %d again", position, already, err, first)
	}
	other := deposit(2)
	other.External = false
	other.Entries = append(other.Entries, other.Entries[0], other.Entries[0])
	other.Entries[0] = &walletv1.Entry{AccountId: "x", Asset: "GBP", Amount: -6, Phase: walletv1.Phase_PHASE_POSTED}
	if _, _, err := s.Post(t.Context(), other); !errors.Is(err, ledger.ErrOtherBody) {
		t.Errorf("another body: %v", err)
	}
	if s.Head() != 2 || model.count() != 2 {
		t.Errorf("head %d, applied %d, want 2", s.Head(), model.count())
	}
}

func TestReleasesAreJudgedAfterTheWholeTransaction(t *testing.T) {
	s, _ := openLoaded(t, tempPath(t), Options{})
	mustPost(t, s, pendingTx("hold", walletv1.Phase_PHASE_HOLD, -10, 5))
	both := pendingTx("both", walletv1.Phase_PHASE_RELEASE, -15)
	both.Entries = append(both.Entries, pendingTx("", walletv1.Phase_PHASE_HOLD, -5).Entries...)
	mustPost(t, s, both)
	refused := pendingTx("too much", walletv1.Phase_PHASE_RELEASE, 1, -1, 3, 2)
	if _, _, err := s.Post(t.Context(), refused); !errors.Is(err, ledger.ReleasesTooMuch(1)) {
		t.Errorf("got %v, want the lowest of the last offending entries", err)
	}
	mustPost(t, s, pendingTx("rest", walletv1.Phase_PHASE_RELEASE, 5))
	if s.Head() != 3 {
		t.Errorf("head %d", s.Head())
	}
}

func TestReopeningFindsEverything(t *testing.T) {
	path := tempPath(t)
	s, _ := openLoaded(t, path, Options{})
	id := s.LedgerID()
	if !regexp.MustCompile(`^[\x21-\x7e]{1,64}$`).MatchString(id) {
		t.Errorf("ledger id %q", id)
	}
	mustPost(t, s, pendingTx("hold", walletv1.Phase_PHASE_HOLD, -10))
	for n := range 20 {
		mustPost(t, s, deposit(n))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed store is one file, to be copied as such: %v", err)
	}
	again, model := openLoaded(t, path, Options{})
	if again.LedgerID() != id || again.Head() != 21 || model.count() != 21 {
		t.Errorf("id %s, head %d, loaded %d", again.LedgerID(), again.Head(), model.count())
	}
	if _, _, err := again.Post(t.Context(), pendingTx("r", walletv1.Phase_PHASE_RELEASE, -11)); !errors.Is(err, ledger.ReleasesTooMuch(0)) {
		t.Errorf("the hold must be known after reopening: %v", err)
	}
	if position, already, err := again.Post(t.Context(), deposit(7)); position != 9 || !already || err != nil {
		t.Errorf("got %d, %v, %v", position, already, err)
	}
}

func TestOpenRefusesWhatIsNotItsStore(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte("this is a letter, and a long one at that, not a database of any kind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(folder, "foreign.db")
	alter(t, foreign, `CREATE TABLE theirs (x)`)
	newer := filepath.Join(folder, "newer.db")
	openOnly(t, newer, Options{}).Close()
	alter(t, newer, `PRAGMA user_version = 7`)
	owned := filepath.Join(folder, "owned.db")
	openOnly(t, owned, Options{})

	for path, want := range map[string]error{
		text: ErrNotStore, foreign: ErrNotStore, newer: ErrVersion, owned: ErrLocked,
		filepath.Join(folder, "no such folder", "x.db"): ErrCreate, folder: ErrCreate,
	} {
		before, _ := os.ReadFile(path)
		s, err := Open(t.Context(), path, Options{})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", filepath.Base(path), err, want)
		}
		if s != nil {
			s.Close()
		}
		if after, _ := os.ReadFile(path); want != ErrLocked && string(after) != string(before) {
			t.Errorf("%s was changed", filepath.Base(path))
		}
	}
}

func alter(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestLoadNoticesAMissingPosition(t *testing.T) {
	path := tempPath(t)
	s, _ := openLoaded(t, path, Options{})
	for n := range 3 {
		mustPost(t, s, deposit(n))
	}
	s.Close()
	alter(t, path, `DELETE FROM events WHERE position = 2`)
	if err := openOnly(t, path, Options{}).Load(t.Context(), new(recorder), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

func TestPathsMayHoldAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c=d#e%20f.db")
	s, _ := openLoaded(t, path, Options{})
	mustPost(t, s, deposit(1))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAppendBatch(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	mark := func(accepted int) Mark { return Mark{Source: "f", Records: int64(accepted)} }
	batch := func(ids ...int) (txs []*walletv1.Transaction) {
		for _, n := range ids {
			txs = append(txs, deposit(n))
		}
		return txs
	}
	check := func(txs []*walletv1.Transaction, keepGoing bool, want string) {
		t.Helper()
		got, err := s.AppendBatch(t.Context(), txs, keepGoing, mark)
		m, markErr := s.Mark(t.Context(), "f")
		text := fmt.Sprintf("posted %d, repeated %d, rejected %v, mark %d", got.Posted, got.Repeated, got.Rejected, m.Records)
		if err != nil || markErr != nil || text != want {
			t.Errorf("got %s, %v, %v; want %s", text, err, markErr, want)
		}
	}
	check(batch(1, 2, 3), false, "posted 3, repeated 0, rejected [], mark 3")
	check(batch(3, 4, 4), false, "posted 1, repeated 2, rejected [], mark 3")
	check(batch(5, 6), false, "posted 2, repeated 0, rejected [], mark 2")
	other := deposit(6)
	other.OccurredAtUs++
	check(append(batch(7), other, deposit(8)), false, "posted 1, repeated 0, rejected [{1 "+ledger.ErrOtherBody.Error()+"}], mark 1")
	check(append(batch(9), other, deposit(10)), true, "posted 2, repeated 0, rejected [{1 "+ledger.ErrOtherBody.Error()+"}], mark 1")

	model := new(recorder)
	if err := s.Load(t.Context(), model, nil); err != nil || s.Head() != 9 || model.count() != 9 {
		t.Errorf("head %d, loaded %d, %v", s.Head(), model.count(), err)
	}
	if _, err := s.AppendBatch(t.Context(), nil, false, nil); !errors.Is(err, ErrUse) {
		t.Errorf("appending behind the committer's back: %v", err)
	}
}

func TestACancelledPostIsWholeOrNothing(t *testing.T) {
	s, model := openLoaded(t, tempPath(t), Options{})
	for n := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _, err := s.Post(ctx, deposit(n))
		// If the post was cancelled before its turn, nothing was posted. If later, the outcome is unknown.
		if err != nil && !(errors.Is(err, context.Canceled) && (errors.Is(err, ErrUnknown) || errors.Is(err, ErrCommit))) {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		mustPost(t, s, deposit(n))
	}
	if s.Head() != 200 || model.count() != 200 {
		t.Errorf("head %d, applied %d", s.Head(), model.count())
	}
}

func TestCommitsAreDurable(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	var journal string
	var synchronous int
	row := s.w.conn.QueryRowContext(t.Context(), `SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous`)
	if err := row.Scan(&journal, &synchronous); err != nil || journal != "wal" || synchronous != 2 {
		t.Errorf("journal %s, synchronous %d, %v; want wal and 2, which is FULL", journal, synchronous, err)
	}
}
