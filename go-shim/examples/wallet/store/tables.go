package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// tablesVersion is the version of the read tables. Tables of another version are dropped and built anew.
const tablesVersion = 1

// The read tables hold the ledger in the shape of the CPU-heavy reads, for a service that keeps no read model in
// memory. They can be derived from the events, and only a model that is a [TableReader] has them made and kept:
//
//	no tables ──> behind ──> up to date, kept with every commit
//	                 ^                │
//	                 └────────────────┘  another read model, an import or an older walletd posts
//
// read_marks says up to which position they go. So an older walletd, which does not know them, does no harm, and
// schemaVersion stays as it is.
//
// entries has one row per entry, in the order in which a window is read: the primary key of a table without rowid is
// its covering index. Accounts and counterparties are numbers there, because names would take more room than all the
// rest. A counter in balances is an INTEGER if it fits, and the 16 bytes of an Int128 if not.
const tablesSchema = `
CREATE TABLE read_marks (
	version INTEGER NOT NULL, position INTEGER NOT NULL, entries INTEGER NOT NULL, accounts INTEGER NOT NULL,
	holdings INTEGER NOT NULL, counterparties INTEGER NOT NULL, checked INTEGER NOT NULL
);
CREATE TABLE balances (
	account_id TEXT NOT NULL, asset TEXT NOT NULL, holding INTEGER NOT NULL, first_position INTEGER NOT NULL,
	credits_posted NOT NULL, debits_posted NOT NULL, credits_pending NOT NULL, debits_pending NOT NULL,
	entry_count INTEGER NOT NULL, last_occurred_at_us INTEGER NOT NULL,
	PRIMARY KEY (account_id, asset)
) WITHOUT ROWID;
CREATE TABLE counterparties (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE entries (
	holding INTEGER NOT NULL, occurred_at_us INTEGER NOT NULL, ref INTEGER NOT NULL,
	amount INTEGER NOT NULL, phase INTEGER NOT NULL, counterparty INTEGER NOT NULL,
	PRIMARY KEY (holding, occurred_at_us, ref)
) WITHOUT ROWID;
`

const dropTables = `
DROP TABLE IF EXISTS read_marks; DROP TABLE IF EXISTS balances;
DROP TABLE IF EXISTS counterparties; DROP TABLE IF EXISTS entries;
`

// tableMarks is the row of read_marks.
type tableMarks struct {
	// position is the last one that the tables hold.
	position          uint64
	entries, accounts uint64
	// holdings and counterparties are the highest numbers given out.
	holdings, counterparties int64
	// checked is false until auditTables has approved of the first build.
	checked bool
}

// TablePosition returns the last position that both the read tables and Head have. It stands still while no model reads
// the tables, and is 0 if none ever did.
func (s *Store) TablePosition() uint64 {
	marks := s.tableMarks.Load()
	if marks == nil {
		return 0
	}
	return min(s.Head(), marks.position)
}

// TableSize returns how many accounts and entries the read tables hold.
func (s *Store) TableSize() (accounts, entries uint64) {
	marks := s.tableMarks.Load()
	if marks == nil {
		return 0, 0
	}
	return marks.accounts, marks.entries
}

// Counters holds the balance of one (account, asset).
type Counters struct {
	CreditsPosted, DebitsPosted, CreditsPending, DebitsPending ledger.Int128
	Entries                                                    uint64
	// LastUS is the latest occurred_at. It has no meaning without entries.
	LastUS int64
}

func (c *Counters) add(occurredAtUS int64, e *walletv1.Entry) {
	size := int64(ledger.Magnitude(e.GetAmount()))
	counter := &c.CreditsPosted
	switch debit, pending := e.GetAmount() < 0, isPending(e); {
	case debit && pending:
		counter = &c.DebitsPending
	case debit:
		counter = &c.DebitsPosted
	case pending:
		counter = &c.CreditsPending
	}
	if e.GetPhase() == walletv1.Phase_PHASE_RELEASE {
		size = -size
	}
	*counter = counter.AddInt64(size)
	if c.Entries == 0 || occurredAtUS > c.LastUS {
		c.LastUS = occurredAtUS
	}
	c.Entries++
}

// counterValue returns a counter as balances stores it.
func counterValue(v ledger.Int128) any {
	if figure, ok := v.Int64(); ok {
		return figure
	}
	return v.Bytes()
}

func counterOf(stored any) (ledger.Int128, error) {
	switch v := stored.(type) {
	case int64:
		return ledger.Int128Of(v), nil
	case []byte:
		if wide, ok := ledger.Int128FromBytes(v); ok {
			return wide, nil
		}
	}
	return ledger.Int128{}, fmt.Errorf("%w: a counter is stored as %v", ErrCorrupt, stored)
}

// storedCounters receives the counters of a row of balances.
type storedCounters struct {
	values          [4]any
	entries, lastUS int64
}

// into returns where to scan a row to whose first columns go elsewhere.
func (s *storedCounters) into(first ...any) []any {
	return append(first, &s.values[0], &s.values[1], &s.values[2], &s.values[3], &s.entries, &s.lastUS)
}

func (s *storedCounters) counters() (Counters, error) {
	c := Counters{Entries: uint64(s.entries), LastUS: s.lastUS}
	for i, counter := range []*ledger.Int128{&c.CreditsPosted, &c.DebitsPosted, &c.CreditsPending, &c.DebitsPending} {
		var err error
		if *counter, err = counterOf(s.values[i]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// readMarks returns the row of read_marks. It returns false if there are no read tables, or some of another version.
func readMarks(ctx context.Context, from querier) (marks tableMarks, found bool, err error) {
	var tables int
	err = from.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'read_marks'`).Scan(&tables)
	if err != nil || tables == 0 {
		return marks, false, err
	}
	var version int
	var position, entries, accounts int64
	err = from.QueryRowContext(ctx,
		`SELECT version, position, entries, accounts, holdings, counterparties, checked FROM read_marks`).
		Scan(&version, &position, &entries, &accounts, &marks.holdings, &marks.counterparties, &marks.checked)
	if errors.Is(err, sql.ErrNoRows) || err == nil && version != tablesVersion {
		return tableMarks{}, false, nil
	}
	marks.position, marks.entries, marks.accounts = uint64(position), uint64(entries), uint64(accounts)
	return marks, err == nil, err
}
