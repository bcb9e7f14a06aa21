package store

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can be wrong with a store file or its use. Each text says how to mend it.
var (
	// ErrLocked: one process at a time owns a store.
	ErrLocked = errors.New("another process has the store open: stop it first, or choose another --db")
	// ErrLinked: a hard link.
	ErrLinked = errors.New("the file has more than one name, and beside each SQLite keeps its own log of what was posted last: " +
		"remove the other names (hard links), or copy the file")
	// ErrEmpty: a file of no length is what a lost ledger may look like.
	ErrEmpty = errors.New("the file is empty: if it was a ledger, restore it from a backup; to begin a new ledger in it, add --new")
	// ErrLost: what was posted last is there without what it was added to.
	ErrLost = errors.New("the ledger is missing or empty, but its write-ahead log is not: put both back, or move the log away to begin a new ledger")
	// ErrReadOnly: nothing can be written.
	ErrReadOnly = errors.New("the database is read-only: make the file and its folder writable for this user, then start walletd again")
	// ErrFull: there is no room for what SQLite needs.
	ErrFull = errors.New("the disk is full, or a quota is: free space")
	// ErrNotStore: the file holds something else.
	ErrNotStore = errors.New("the file is not a walletd store: choose another --db; nothing was changed")
	// ErrNoStore: there is nothing to read.
	ErrNoStore = errors.New("there is no store: check --db, or make one with import or generate")
	// ErrVersion: the file was written by another version of walletd.
	ErrVersion = errors.New("the store has a schema that this walletd does not know: use the walletd that wrote it, or import into a new --db")
	// ErrCorrupt: positions are missing or an event cannot be read.
	ErrCorrupt = errors.New("the store is damaged: restore it from a backup")
	// ErrCreate: the store could not be created where it was asked for.
	ErrCreate = errors.New("cannot create the store: check that the folder exists and is writable")
	// ErrClosed: the store is shutting down.
	ErrClosed = errors.New("the store is closed: post again with the same transaction_id once the service is back")
	// ErrCommit is wrapped by the error of a post that was not made durable.
	ErrCommit = errors.New("nothing was posted")
	// ErrInDoubt: a commit failed, and SQLite cannot say whether it did; only opening the store anew can.
	ErrInDoubt = errors.New("a commit failed in such a way that its outcome is unknown: restart walletd, then post again " +
		"with the same transaction_id to learn it")
	// ErrUnknown: the caller went away before the outcome was known.
	ErrUnknown = errors.New("gave up waiting, the outcome is unknown: post again with the same transaction_id to learn it")
	// ErrUse: a programming error, such as posting before Load.
	ErrUse = errors.New("store used out of order")
)

// openError says what SQLite's refusal to open a file means for whoever named that file.
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

// commitError explains a failed commit to whoever posted.
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

// hindranceOf: what keeps from posting, but not from reading.
func hindranceOf(err error) error {
	if errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFull) {
		return err
	}
	return nil
}

// isNoSpace: the index of the log is the first that a full disk refuses; SQLite has a code of its own for that.
func isNoSpace(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) ||
		errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// primaryCode is SQLite's result code without its extension, 0 for errors of other origin.
func primaryCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// isDuplicate: a key that an INSERT brought is there already.
func isDuplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE)
}
