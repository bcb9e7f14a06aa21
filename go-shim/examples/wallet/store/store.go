// Package store keeps the ledger in SQLite: every transaction once, encoded as the event that read models get.
// Positions have no gaps, and a position exists only once its transaction is durable.
//
// One goroutine, the committer, writes. It collects the posts that wait, checks them in order, and makes all of them
// durable with one fsync (a group commit). Only after that it applies them to the read model, moves Head and answers:
//
//	Post ──> queue ──> commitLoop: batch ──> writer: SQLite ──> model.Apply ──> feed: Head, Read ──> Post returns
//
// If the model is a [TableReader], the writer also keeps the read tables, and [Store.View] reads them. [Store.Switch]
// replaces the model while posts and reads go on.
//
// Before Load there is no committer, and an import writes through AppendBatch. The writer uses SQLite's write-ahead
// log, which comments here call the log; keepTrim shortens it.
package store

import (
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the "sqlite" driver

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	maxReaders   = 4
	queueLength  = 1024
	maxBatch     = 512
	maxBatchSize = 4 << 20
)

// Options tunes a store. The zero value is ready for use.
type Options struct {
	// OnCommit, if set, is called after every group commit, by the committer.
	OnCommit func(Commit)
	// New lets Open make a new store in an empty file. Without it Open refuses such a file, which may have been a
	// ledger.
	New bool
	// ReadAnyway opens a store even if nothing can be posted to it at present. See [Store.WriteBlocked].
	ReadAnyway bool
	// Views is how many views can be open at once; 0 means DefaultViews.
	Views int
	// looks, if set, replaces the ticker of keepTrim in tests.
	looks <-chan time.Time
	// pauseAt, if set, replaces logPaused in tests.
	pauseAt int64
	// free, if set, replaces freeBytes in tests.
	free func(path string) uint64
}

// Commit describes one group commit.
type Commit struct {
	Transactions int
	Took         time.Duration
	// Err is nil, or the reason why nothing of the batch was posted.
	Err error
}

// Applier is the part of a read model that the store uses.
type Applier interface {
	Apply(tx *walletv1.Transaction)
}

// Store is an open ledger. Its methods are safe for concurrent use, but AppendBatch and Load must not overlap.
type Store struct {
	path string
	lock *fileLock
	// logLock is on the write-ahead log. It prevents that another database, put at this path while this one is served,
	// is opened with this log.
	logLock *fileLock
	writeDB *sql.DB
	readers *sql.DB
	// statements are those of readers; nil if there can be only one connection.
	statements *prepared
	// reads is statements, or that one connection.
	reads querier
	// w is nil if the database can only be read.
	w            *writer
	ledgerID     string
	created      bool
	writeBlocked error
	// loaded is the last position that Open found.
	loaded  uint64
	options Options
	feed    feed

	// views holds nil until the model is a TableReader for the first time.
	views atomic.Pointer[viewPool]
	// tableMarks is what the read tables hold.
	tableMarks atomic.Pointer[tableMarks]

	// begun is true once Load has given the store a model. From then on only the committer uses model.
	begun bool
	model Applier
	queue chan *posting
	// tasks run on the committer, between commits.
	tasks chan func()
	// switching is locked while a switch is under way, and for good once the store is closed.
	switching sync.Mutex

	closing chan struct{}
	stopped chan struct{}
	// trimmed is closed when keepTrim has ended.
	trimmed chan struct{}
	close   sync.Once
	// optimistic is true while AppendBatch expects that no transaction_id repeats.
	optimistic bool
}

// LedgerID returns the random id that the store got when it was created.
func (s *Store) LedgerID() string { return s.ledgerID }

// Created returns whether Open created the store.
func (s *Store) Created() bool { return s.created }

// WriteBlocked returns the reason why nothing could be posted when the store was opened, or nil. If it wraps
// [ErrReadOnly], no post succeeds. If it wraps [ErrFull], posts succeed once there is space.
func (s *Store) WriteBlocked() error { return s.writeBlocked }

// Head returns the last position that is durable and applied to the read model. It is 0 if there is none, and before
// Load.
func (s *Store) Head() uint64 { return s.feed.position() }

// Close commits the posts that already wait, refuses later ones, and closes the files.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		if s.begun {
			s.switching.Lock()
			<-s.stopped
			<-s.trimmed
		}
		err = s.closeFiles()
	})
	return err
}

func (s *Store) closeFiles() error {
	var errs []error
	if views := s.views.Load(); views != nil {
		errs = append(errs, views.close())
	}
	switch {
	case s.statements != nil:
		errs = append(errs, s.statements.close())
	case s.readers != nil:
		errs = append(errs, s.readers.Close())
	}
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	if s.writeDB != nil {
		errs = append(errs, s.writeDB.Close())
	}
	// The locks must be the last: see fileLock.
	return errors.Join(append(errs, s.logLock.close(), s.lock.close())...)
}
