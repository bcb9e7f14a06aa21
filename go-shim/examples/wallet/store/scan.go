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

// Scan visits every transaction of the store at path, in order of position, and changes nothing. Another process may
// serve the store meanwhile. Scan then sees the ledger as it was when the scan began.
func Scan(ctx context.Context, path string, visit func(*walletv1.Transaction)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}()
	if path, err = realPath(path); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoStore, err)
	}
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoStore, err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%w (that is no regular file)", ErrNoStore)
	}
	if err := checkNames(path); err != nil {
		return err
	}
	how := servedMode
	switch lock, err := shareFile(path); {
	case err == nil:
		defer lock.close()
		how = readingMode(path)
	case !errors.Is(err, ErrLocked):
		return err
	}
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

// servedMode is for a file that another process may write meanwhile.
var servedMode = url.Values{"mode": {"ro"}}

// readingMode returns the options for a file that no other process writes. It is opened as immutable, because SQLite
// would otherwise leave its -wal and -shm files beside it. But if a process was killed while it served the file, part
// of the ledger is in the -wal, which SQLite must then read.
func readingMode(path string) url.Values {
	if hasLog(path) {
		return servedMode
	}
	return url.Values{"immutable": {"1"}}
}
