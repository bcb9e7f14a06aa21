package store

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// These are the errors of a store file and of its use. Each text says what to do.
var (
	// ErrLocked means that another process owns the store. Only one at a time can.
	ErrLocked = errors.New("another process has the store open: stop it first, or choose another --db")
	// ErrLinked means that the file has hard links.
	ErrLinked = errors.New("the file has more than one name, and beside each SQLite keeps its own log of what was posted last: " +
		"remove the other names (hard links), or copy the file")
	// ErrEmpty means that the file is empty. It may have been a ledger that was lost.
	ErrEmpty = errors.New("the file is empty: if it was a ledger, restore it from a backup; to begin a new ledger in it, add --new")
	// ErrLost means that the write-ahead log is there without its database.
	ErrLost = errors.New("the ledger is missing or empty, but its write-ahead log is not: put both back, or move the log away to begin a new ledger")
	// ErrReadOnly means that nothing can be written.
	ErrReadOnly = errors.New("the database is read-only: make the file and its folder writable for this user, then start walletd again")
	// ErrFull means that there is no room for the files that SQLite needs.
	ErrFull = errors.New("the disk is full, or a quota is: free space")
	// ErrNotStore means that the file holds something else.
	ErrNotStore = errors.New("the file is not a walletd store: choose another --db; nothing was changed")
	// ErrNoStore means that there is no file to read.
	ErrNoStore = errors.New("there is no store: check --db, or make one with import or generate")
	// ErrVersion means that another version of walletd wrote the file.
	ErrVersion = errors.New("the store has a schema that this walletd does not know: use the walletd that wrote it, or import into a new --db")
	// ErrCorrupt means that positions are missing or that data in the store cannot be read.
	ErrCorrupt = errors.New("the store is damaged: restore it from a backup")
	// ErrCreate means that the store could not be created at its path.
	ErrCreate = errors.New("cannot create the store: check that the folder exists and is writable")
	// ErrClosed means that the store is closed or about to be.
	ErrClosed = errors.New("the store is closed: post again with the same transaction_id once the service is back")
	// ErrCommit is wrapped by the error of a post that was not made durable.
	ErrCommit = errors.New("nothing was posted")
	// ErrInDoubt means that a commit failed and may still have become durable. Only opening the store anew shows it.
	ErrInDoubt = errors.New("a commit failed in such a way that its outcome is unknown: restart walletd, then post again " +
		"with the same transaction_id to learn it")
	// ErrUnknown means that the caller's context ended before the outcome was known.
	ErrUnknown = errors.New("gave up waiting, the outcome is unknown: post again with the same transaction_id to learn it")
	// ErrBehind means that the read tables lack transactions, or are not there, and cannot be written.
	ErrBehind = errors.New("the read tables are not up to date and cannot be written: mend that, or serve with another --read-model")
	// ErrBusy means that as many reads as may run at once did so until the caller's time was nearly over.
	ErrBusy = errors.New("too many reads of the ledger's file at once: ask again later, or raise --store-reads")
	// ErrSwitching means that a switch to another read model is under way.
	ErrSwitching = errors.New("another switch of the read model is under way")
	// ErrUse means that the program uses the store wrongly, for example posts before Load.
	ErrUse = errors.New("store used out of order")
)

// openError turns SQLite's error on opening a file into one that tells the user what to do.
func openError(err error) error {
	if isNoSpace(err) {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	switch primaryCode(err) {
	case sqlite3.SQLITE_NOTADB:
		return ErrNotStore
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w (%w)", ErrReadOnly, err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%w (%w)", ErrLocked, err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w (%w)", ErrCorrupt, err)
	default:
		return err
	}
}

// commitError turns the error of a failed commit into one that tells the caller of Post what to do.
func commitError(err error) error {
	if errors.Is(err, ErrInDoubt) {
		return err
	}
	advice := "post again with the same transaction_id"
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL:
		advice = "the disk is full: free space, then " + advice
	case sqlite3.SQLITE_IOERR:
		advice = "the disk fails: check it, then " + advice
	case sqlite3.SQLITE_BUSY:
		advice = "another program holds the database: close it, then " + advice
	}
	return fmt.Errorf("%w: %s (%w)", ErrCommit, advice, err)
}

// writeBlockedBy returns err if it prevents posts but not reads, and nil otherwise.
func writeBlockedBy(err error) error {
	if errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFull) {
		return err
	}
	return nil
}

// isNoSpace returns whether err means that the disk is full or a quota or limit is reached. On a full disk, SQLite
// often fails first to extend the index of its log, and has a code of its own for that (SQLITE_IOERR_SHMSIZE).
func isNoSpace(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) ||
		errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// primaryCode returns SQLite's result code without its extension, or 0 for an error that is not SQLite's.
func primaryCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// isDuplicate returns whether an INSERT failed because its key is there already.
func isDuplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE)
}
