package store_test

import (
	"database/sql"
	"math"
	"path/filepath"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/generate"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const benchTransactions = 100_000

type tableReader struct{}

func (tableReader) Apply(*walletv1.Transaction) {}
func (tableReader) ReadsTables()                {}

// skewed makes a ledger with the skew of real ones. It returns its path, the number of its entries and the account with
// the most of them.
func skewed(b *testing.B) (path string, entries int, busiest string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "wallet.db")
	s := open(b, path)
	g := generate.New(generate.Options{Seed: 1, Accounts: 20_000, Transactions: benchTransactions})
	byAccount := make(map[string]int)
	for made := 0; made < benchTransactions; {
		var batch []*walletv1.Transaction
		for ; made < benchTransactions && len(batch) < 10_000; made++ {
			tx := g.Next()
			batch = append(batch, tx)
			for _, e := range tx.GetEntries() {
				entries++
				if byAccount[e.GetAccountId()]++; byAccount[e.GetAccountId()] > byAccount[busiest] {
					busiest = e.GetAccountId()
				}
			}
		}
		if done, err := s.AppendBatch(b.Context(), batch, false, nil); err != nil || done.Posted != len(batch) {
			b.Fatalf("posted %d: %v", done.Posted, err)
		}
	}
	shut(b, s)
	return path, entries, busiest
}

func open(b *testing.B, path string) *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), path, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func load(b *testing.B, s *store.Store) {
	b.Helper()
	if err := s.Load(b.Context(), tableReader{}, nil); err != nil {
		b.Fatal(err)
	}
}

func shut(b *testing.B, s *store.Store) {
	b.Helper()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatchUp measures an entry of the first build of the read tables, and reports the room that each table of the
// store takes with its indexes.
func BenchmarkCatchUp(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		path, entries, _ := skewed(b)
		s := open(b, path)
		before := b.Elapsed()
		b.StartTimer()
		load(b, s)
		b.StopTimer()
		b.ReportMetric(float64((b.Elapsed()-before).Nanoseconds())/float64(entries), "ns/entry")
		shut(b, s)
		reportRoom(b, path, entries)
		b.StartTimer()
	}
}

func reportRoom(b *testing.B, path string, entries int) {
	b.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"entries", "balances", "counterparties", "events", "account_refs", "transaction_ids"} {
		var bytes float64
		err := db.QueryRowContext(b.Context(), `SELECT sum(pgsize) FROM dbstat
			WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?)`, table).Scan(&bytes)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(bytes/float64(entries), table+"-B/entry")
	}
}

// BenchmarkView measures a view that reads the holdings of an account, and a scan of all entries of the busiest.
func BenchmarkView(b *testing.B) {
	path, _, busiest := skewed(b)
	s := open(b, path)
	load(b, s)
	defer shut(b, s)
	b.Run("holdings", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			look(b, s, busiest, nil)
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			look(b, s, busiest, func(int64, int64, int64) { n++ })
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
	})
}

// look opens a view, reads the holdings of an account and, if visit is given, their POSTED entries.
func look(b *testing.B, s *store.Store, account string, visit func(occurredAtUS, amount, counterparty int64)) {
	b.Helper()
	v, err := s.View(b.Context(), store.Newest)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	held, err := v.Holdings(account)
	if err != nil {
		b.Fatal(err)
	}
	for i := range held {
		if visit == nil {
			continue
		}
		if err := v.Posted(&held[i], math.MinInt64, math.MaxInt64, visit); err != nil {
			b.Fatal(err)
		}
	}
}
