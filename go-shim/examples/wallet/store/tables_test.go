package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// tableReader is a model that reads the tables.
type tableReader struct{}

func (tableReader) Apply(*walletv1.Transaction) {}
func (tableReader) ReadsTables()                {}

// openTables opens a store with its read tables. It is closed when the test ends, if it still is open then.
func openTables(t testing.TB, path string, options Options) *Store {
	t.Helper()
	s := openOnly(t, path, options)
	if err := s.Load(t.Context(), tableReader{}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// mixture makes valid transactions with entries of every phase, of few accounts, some of them back-dated.
type mixture struct {
	random *rand.Rand
	made   []*walletv1.Transaction
	held   []*walletv1.Entry
}

func newMixture(seed uint64) *mixture { return &mixture{random: rand.New(rand.NewPCG(seed, 1))} }

func (m *mixture) next() *walletv1.Transaction {
	tx := &walletv1.Transaction{
		TransactionId: fmt.Sprint("tx-", len(m.made)), OccurredAtUs: m.random.Int64N(1000) - 500, External: true,
	}
	for range 1 + m.random.IntN(5) {
		e := &walletv1.Entry{
			AccountId: fmt.Sprint("acct-", m.random.IntN(6)), Asset: []string{"GBP", "EUR", "A"}[m.random.IntN(3)],
			Amount: m.random.Int64N(2*ledger.MaxAmount) - ledger.MaxAmount, Phase: walletv1.Phase(1 + m.random.IntN(2)),
			Counterparty: []string{"", "acct-1", fmt.Sprint("c", m.random.IntN(40))}[m.random.IntN(3)],
		}
		if e.GetAmount() == 0 {
			e.Amount = 1
		}
		if e.GetPhase() == walletv1.Phase_PHASE_HOLD {
			m.held = append(m.held, e)
		}
		tx.Entries = append(tx.Entries, e)
	}
	if len(m.held) > 0 && m.random.IntN(2) == 0 {
		i := m.random.IntN(len(m.held))
		hold := m.held[i]
		m.held = slices.Delete(m.held, i, i+1)
		tx.Entries = append(tx.Entries, &walletv1.Entry{
			AccountId: hold.GetAccountId(), Asset: hold.GetAsset(), Amount: hold.GetAmount(), Phase: walletv1.Phase_PHASE_RELEASE,
		})
	}
	m.made = append(m.made, tx)
	return tx
}

func (m *mixture) take(n int) []*walletv1.Transaction {
	start := len(m.made)
	for range n {
		m.next()
	}
	return m.made[start:]
}

// dump returns the read tables as text, without the numbers, which depend on how batches were cut.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT account_id, asset, first_position, credits_posted, debits_posted, credits_pending, debits_pending,
			entry_count, last_occurred_at_us FROM balances ORDER BY account_id, asset`,
		`SELECT account_id, asset, occurred_at_us, ref, amount, phase, coalesce(name, '') FROM entries
			JOIN balances USING (holding) LEFT JOIN counterparties ON number = counterparty ORDER BY account_id, asset, occurred_at_us, ref`,
		`SELECT position, entries, accounts, holdings, counterparties, checked FROM read_marks`,
	} {
		rows, err := s.w.conn.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := rows.Columns()
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, values...)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// expected returns what dump must say about the transactions, by definition.
func expected(txs []*walletv1.Transaction) string {
	type key struct{ account, asset string }
	counters := make(map[key]*Counters)
	first := make(map[key]int)
	accounts, counterparties := make(map[string]bool), make(map[string]bool)
	var entries []string
	for p, tx := range txs {
		for i, e := range tx.GetEntries() {
			k := key{e.GetAccountId(), e.GetAsset()}
			if counters[k] == nil {
				counters[k], first[k] = new(Counters), p+1
			}
			counters[k].add(tx.GetOccurredAtUs(), e)
			accounts[e.GetAccountId()] = true
			if e.GetCounterparty() != "" {
				counterparties[e.GetCounterparty()] = true
			}
			// The first words sort as the table does: account, asset, time and ref.
			entries = append(entries, fmt.Sprintf("%s\x00%s\x00%020d\x00%020d\x00%s", k.account, k.asset, tx.GetOccurredAtUs()+1_000_000,
				refOf(uint64(p+1), i), fmt.Sprintln(k.account, k.asset, tx.GetOccurredAtUs(), int64(refOf(uint64(p+1), i)),
					e.GetAmount(), int64(e.GetPhase()), e.GetCounterparty())))
		}
	}
	keys := make([]key, 0, len(counters))
	for k := range counters {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.account+"\x00"+a.asset, b.account+"\x00"+b.asset) })
	var b strings.Builder
	for _, k := range keys {
		c := counters[k]
		fmt.Fprintln(&b, k.account, k.asset, first[k], counterValue(c.CreditsPosted), counterValue(c.DebitsPosted),
			counterValue(c.CreditsPending), counterValue(c.DebitsPending), c.Entries, c.LastUS)
	}
	slices.Sort(entries)
	for _, e := range entries {
		b.WriteString(e[strings.LastIndexByte(e, 0)+1:])
	}
	fmt.Fprintln(&b, len(txs), len(entries), len(accounts), len(counters), len(counterparties), 1)
	return b.String()
}

func checkTables(t *testing.T, s *Store, txs []*walletv1.Transaction, when string) {
	t.Helper()
	if got, want := dump(t, s), expected(txs); got != want {
		t.Fatalf("%s: the tables hold\n%s\nand not\n%s", when, got, want)
	}
}

func mustAppend(t testing.TB, s *Store, txs []*walletv1.Transaction) {
	t.Helper()
	if done, err := s.AppendBatch(t.Context(), txs, false, nil); err != nil || done.Posted != len(txs) {
		t.Fatalf("posted %d of %d: %v, %v", done.Posted, len(txs), done.Rejected, err)
	}
}

// TestTheTablesFollowTheLedger posts to a store in every way that there is, with and without read tables.
func TestTheTablesFollowTheLedger(t *testing.T) {
	path := tempPath(t)
	m := newMixture(1)
	old, _ := openLoaded(t, path, Options{})
	for _, tx := range m.take(40) {
		mustPost(t, old, tx)
	}
	if hasTables(t, old) {
		t.Error("a store that nobody reads from has read tables")
	}
	old.Close()

	s := openTables(t, path, Options{})
	checkTables(t, s, m.made, "built from an older store")
	for _, tx := range m.take(40) {
		mustPost(t, s, tx)
	}
	checkTables(t, s, m.made, "after posts")
	s.Close()

	bulk := openOnly(t, path, Options{})
	mustAppend(t, bulk, m.take(200))
	bulk.Close()
	behind, _ := openLoaded(t, path, Options{})
	mustPost(t, behind, m.next())
	behind.Close()

	s = openTables(t, path, Options{})
	checkTables(t, s, m.made, "caught up with an import and with posts of another read model")
	for _, tx := range m.take(5) {
		mustPost(t, s, tx)
	}
	checkTables(t, s, m.made, "after further posts")
	s.Close()
	checkTables(t, openTables(t, path, Options{}), m.made, "opened again")
}

func hasTables(t *testing.T, s *Store) bool {
	t.Helper()
	_, found, err := readMarks(t.Context(), s.reads)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCatchingUpGoesOnWhereItWasInterrupted(t *testing.T) {
	path := tempPath(t)
	m := newMixture(2)
	bulk := openOnly(t, path, Options{})
	// These are more than two batches of catchUp.
	for range 7 {
		mustAppend(t, bulk, m.take(5000))
	}
	bulk.Close()
	var reached []uint64
	for try := 0; ; try++ {
		s := openOnly(t, path, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Load(ctx, tableReader{}, func(done, _ uint64) {
			reached = append(reached, done)
			cancel()
		})
		cancel()
		if err == nil {
			checkTables(t, s, m.made, "after interruptions")
			break
		}
		if !errors.Is(err, context.Canceled) || try == 10 {
			t.Fatalf("try %d: %v, after %v", try, err, reached)
		}
		s.Close()
	}
	if len(reached) < 3 || !slices.IsSorted(reached) || len(slices.Compact(slices.Clone(reached))) != len(reached) {
		t.Errorf("batches ended at %v", reached)
	}
}

func TestAFailedCommitLeavesTheTablesAsTheyWere(t *testing.T) {
	s := openTables(t, tempPath(t), Options{})
	m := newMixture(3)
	mustPost(t, s, m.next())
	limit := func(pages int) {
		var got int
		if err := s.w.conn.QueryRowContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite raises this to the present size
	failed := 0
	for failed == 0 {
		tx := m.next()
		if _, _, err := s.Post(t.Context(), tx); err != nil {
			failed++
			m.made = m.made[:len(m.made)-1]
			checkTables(t, s, m.made, "after a failed commit")
			limit(1 << 20)
			mustPost(t, s, tx)
			m.made = append(m.made, tx)
		}
	}
	checkTables(t, s, m.made, "once there was space again")

	// A commit that fails last, when the tables are already written.
	late := errors.New("late")
	lost := newMixture(6).next()
	lost.Position = s.Head() + 1
	err := s.w.inTransaction(func() error {
		return errors.Join(s.w.tables.write(t.Context(), []*walletv1.Transaction{lost}), late)
	})
	if err == nil || err.Error() != late.Error() {
		t.Fatalf("got %v", err)
	}
	mustPost(t, s, m.next())
	checkTables(t, s, m.made, "after a commit that failed last")
}

func TestTablesThatDisagreeAreNotServed(t *testing.T) {
	for name, damage := range map[string]string{
		"an entry is missing":       `DELETE FROM entries WHERE ref = (SELECT max(ref) FROM entries)`,
		"a balance counts too much": `UPDATE balances SET entry_count = entry_count + 1 WHERE holding = 1`,
		"a hold is gone": `UPDATE balances SET credits_pending = 0, debits_pending = 0
			WHERE holding = (SELECT max(holding) FROM balances WHERE credits_pending <> 0 OR debits_pending <> 0)`,
		"a hold is another": `UPDATE balances SET credits_pending = 77
			WHERE holding = (SELECT max(holding) FROM balances WHERE credits_pending <> 0)`,
		"they are ahead of the ledger": `UPDATE read_marks SET position = position + 1`,
	} {
		t.Run(name, func(t *testing.T) {
			path := tempPath(t)
			s := openTables(t, path, Options{})
			m := newMixture(4)
			for _, tx := range m.take(60) {
				mustPost(t, s, tx)
			}
			s.Close()
			alter(t, path, damage)
			alter(t, path, `UPDATE read_marks SET checked = 0`) // as if the first build had been interrupted before the check
			if err := openOnly(t, path, Options{}).Load(t.Context(), tableReader{}, nil); !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTablesOfAnotherVersionAreBuiltAnew(t *testing.T) {
	path := tempPath(t)
	s := openTables(t, path, Options{})
	m := newMixture(5)
	for _, tx := range m.take(30) {
		mustPost(t, s, tx)
	}
	s.Close()
	alter(t, path, `UPDATE read_marks SET version = 9; DROP TABLE entries; CREATE TABLE entries (other)`)
	checkTables(t, openTables(t, path, Options{}), m.made, "built anew")
}
