// Package store keeps the ledger in SQLite: every transaction once, encoded as the event that feeds read models, at
// gapless positions that exist only once they are durable.
//
// One goroutine commits. It gathers the posts that wait, judges them in order, and makes all of them durable with one
// fsync; only then are they applied to the read model, counted into Head and answered.
package store

import (
	"database/sql"
	"errors"
	"sync"
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

// Options tune a store; the zero value is ready for use.
type Options struct {
	// OnCommit, if set, is told of every group commit, from the committing goroutine.
	OnCommit func(Commit)
	// New takes an empty file for a new store. Without it such a file is refused, for it may have been a ledger.
	New bool
	// ReadAnyway opens a store also where nothing can be posted just now; see [Store.Hindrance].
	ReadAnyway bool
	// looks, if set, is when tests have the log looked at.
	looks <-chan time.Time
}

// Commit describes one group commit.
type Commit struct {
	Transactions int
	Took         time.Duration
	// Err is why nothing of it was posted, if so.
	Err error
}

// Applier is the read model as the store sees it.
type Applier interface {
	Apply(tx *walletv1.Transaction)
}

// Store is an open ledger. Its methods are safe for concurrent use, but AppendBatch and Load must not overlap.
type Store struct {
	path string
	lock *fileLock
	// logLock is on the write-ahead log: a database that was moved here while its process runs on has another one's.
	logLock *fileLock
	writeDB *sql.DB
	readers *sql.DB
	// reads is readers, or the writer's connection if there can be no other.
	reads querier
	// w is nil if the database can only be read.
	w         *writer
	ledgerID  string
	created   bool
	hindrance error
	// loaded is the last position that was found on opening.
	loaded  uint64
	options Options
	feed    feed

	model   Applier
	queue   chan *posting
	closing chan struct{}
	stopped chan struct{}
	// trimmed is closed when nobody trims the log any more.
	trimmed chan struct{}
	close   sync.Once
	// optimistic is true while AppendBatch expects to meet no transaction_id twice.
	optimistic bool
}

// LedgerID is the random identity that the store was created with.
func (s *Store) LedgerID() string { return s.ledgerID }

// Created says whether Open found no store and made one.
func (s *Store) Created() bool { return s.created }

// Hindrance is why nothing could be posted when the store was opened, nil if there was nothing. It wraps [ErrReadOnly],
// and then no post succeeds, or [ErrFull], and then posts do once there is space.
func (s *Store) Hindrance() error { return s.hindrance }

// Head is the last durable position that the read model shows; 0 if there is none, or before Load.
func (s *Store) Head() uint64 { return s.feed.position() }

// Close commits what already waits, refuses the rest, and closes the files.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		if s.model != nil {
			<-s.stopped
			<-s.trimmed
		}
		err = s.closeFiles()
	})
	return err
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	if s.writeDB != nil {
		errs = append(errs, s.writeDB.Close())
	}
	// Last: see fileLock.
	return errors.Join(append(errs, s.logLock.close(), s.lock.close())...)
}
