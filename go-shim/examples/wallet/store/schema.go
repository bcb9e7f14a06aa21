package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
)

const (
	// applicationID ("walt") marks the file as a store, so that we never change another program's database.
	applicationID = 0x77616c74
	schemaVersion = 1
)

// The events are the ledger. transaction_ids, account_refs and pending can be derived from them and are written in the
// same SQLite transaction. account_refs packs the refs (see refs.go) of many entries into a row, because one row per
// entry would double the size of the file.
const schema = `
CREATE TABLE meta (ledger_id TEXT NOT NULL);
CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE transaction_ids (transaction_id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE account_refs (
	account_id TEXT NOT NULL, asset TEXT NOT NULL, first_ref INTEGER NOT NULL, refs BLOB NOT NULL,
	PRIMARY KEY (account_id, asset, first_ref)
) WITHOUT ROWID;
CREATE TABLE pending (
	account_id TEXT NOT NULL, asset TEXT NOT NULL, debit INTEGER NOT NULL, amount BLOB NOT NULL,
	PRIMARY KEY (account_id, asset, debit)
) WITHOUT ROWID;
CREATE TABLE import_marks (
	source TEXT PRIMARY KEY, records INTEGER NOT NULL, skipped INTEGER NOT NULL, complete INTEGER NOT NULL
) WITHOUT ROWID;
`

// prepareSchema makes sure that the database is a store of this version. It makes the store in an empty file.
func prepareSchema(ctx context.Context, conn *sql.Conn) (ledgerID string, created bool, err error) {
	empty, err := checkSchema(ctx, conn)
	if err != nil {
		return "", false, err
	}
	if empty {
		ledgerID, err = createSchema(ctx, conn)
		return ledgerID, err == nil, err
	}
	ledgerID, err = readLedgerID(ctx, conn)
	return ledgerID, false, err
}

func readLedgerID(ctx context.Context, conn *sql.Conn) (ledgerID string, err error) {
	if err := conn.QueryRowContext(ctx, `SELECT ledger_id FROM meta`).Scan(&ledgerID); err != nil {
		return "", fmt.Errorf("%w: read the ledger id: %w", ErrCorrupt, err)
	}
	return ledgerID, nil
}

// checkSchema makes sure that the database is either empty or a store of this version.
func checkSchema(ctx context.Context, conn *sql.Conn) (empty bool, err error) {
	var application, version, tables int
	err = conn.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)`).
		Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return false, openError(err)
	case tables == 0:
		return true, nil
	case application != applicationID:
		return false, ErrNotStore
	case version != schemaVersion:
		return false, fmt.Errorf("%w (the store's is %d, ours %d)", ErrVersion, version, schemaVersion)
	}
	return false, nil
}

func createSchema(ctx context.Context, conn *sql.Conn) (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("make a ledger id: %w", err)
	}
	ledgerID := "ledger-" + hex.EncodeToString(random)
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+schema+fmt.Sprintf(
		`INSERT INTO meta VALUES ('%s'); PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;`,
		ledgerID, applicationID, schemaVersion))
	if err != nil {
		if isNoSpace(err) {
			return "", fmt.Errorf("%w (%w)", ErrFull, err)
		}
		return "", fmt.Errorf("%w: %w", ErrCreate, err)
	}
	return ledgerID, nil
}
