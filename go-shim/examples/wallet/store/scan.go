package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Scan visits every transaction of the store at path in order of position and changes nothing. Another process may
// serve the store meanwhile: what is seen is the ledger as it was when the scan began.
func Scan(ctx context.Context, path string, visit func(*walletv1.Transaction)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}()
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoStore, err)
	} else if info.IsDir() {
		return fmt.Errorf("%w (that is a folder)", ErrNoStore)
	}
	how, unlock := readingMode(path)
	defer unlock()
	db, err := openSQLiteAs(path, how, "query_only(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return openError(err)
	}
	defer conn.Close()
	if empty, err := checkSchema(ctx, conn); empty || err != nil {
		if empty {
			return ErrNotStore
		}
		return err
	}
	return scan(ctx, conn, visit)
}

func scan(ctx context.Context, conn *sql.Conn, visit func(*walletv1.Transaction)) error {
	rows, err := conn.QueryContext(ctx, `SELECT position, event FROM events ORDER BY position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for next := uint64(1); rows.Next(); next++ {
		tx, err := scanEvent(rows, next)
		if err != nil {
			return err
		}
		visit(tx)
	}
	return rows.Err()
}

// readingMode: a file that nobody writes is read as immutable, because SQLite would otherwise leave its -wal and -shm
// beside it. If it is being served, or was when its process got killed, part of the ledger is in the -wal.
func readingMode(path string) (how url.Values, unlock func()) {
	lock, err := shareFile(path + ".lock")
	unlock = func() {
		if lock != nil {
			_ = lock.Close()
		}
	}
	wal, walErr := os.Stat(path + "-wal")
	// If the lock cannot be made, the folder is read-only, and nobody else can make it either.
	if errors.Is(err, ErrLocked) || walErr == nil && wal.Size() > 0 {
		return url.Values{"mode": {"ro"}}, unlock
	}
	return url.Values{"immutable": {"1"}}, unlock
}
