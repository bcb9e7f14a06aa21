// Package store keeps the ledger in SQLite: every transaction once, encoded as the event that feeds read models, at
// gapless positions that exist only once they are durable.
//
// One goroutine commits. It gathers the posts that wait, judges them in order, and makes all of them durable with one
// fsync; only then are they applied to the read model, counted into Head and answered.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
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
	lock     *os.File
	writeDB  *sql.DB
	readers  *sql.DB
	w        *writer
	ledgerID string
	created  bool
	options  Options
	feed     feed

	model   Applier
	queue   chan *posting
	closing chan struct{}
	stopped chan struct{}
	close   sync.Once
	// optimistic is true while AppendBatch expects to meet no transaction_id twice.
	optimistic bool
}

// Open opens or creates the store at path. Nothing can be posted or read from memory before Load.
func Open(ctx context.Context, path string, options Options) (*Store, error) {
	s, err := open(ctx, path, options)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, options Options) (_ *Store, err error) {
	s := &Store{
		options:    options,
		queue:      make(chan *posting, queueLength),
		closing:    make(chan struct{}),
		stopped:    make(chan struct{}),
		optimistic: true,
	}
	s.feed.changed = make(chan struct{})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeFiles())
		}
	}()
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: that is a folder, name a file in it", ErrCreate)
	}
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if s.writeDB, err = openSQLite(path, "synchronous(FULL)", "cache_size(-65536)", "wal_autocheckpoint(4096)"); err != nil {
		return nil, err
	}
	s.writeDB.SetMaxOpenConns(1)
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return nil, openError(err)
	}
	if s.ledgerID, s.created, err = prepareSchema(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// Only now: switching the journal mode writes to the file, and it may not have been ours.
	if _, err = conn.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return nil, errors.Join(openError(err), conn.Close())
	}
	if s.w, err = newWriter(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.readers, err = openSQLite(path, "query_only(1)")
	if err != nil {
		return nil, err
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	return s, nil
}

func openSQLite(path string, pragmas ...string) (*sql.DB, error) {
	return openSQLiteAs(path, nil, pragmas...)
}

// openSQLiteAs adds options of SQLite's own, such as mode, to the name of the file.
func openSQLiteAs(path string, how url.Values, pragmas ...string) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	maps.Copy(query, how)
	return sql.Open("sqlite", "file:"+(&url.URL{Path: absolute}).EscapedPath()+"?"+query.Encode())
}

// LedgerID is the random identity that the store was created with.
func (s *Store) LedgerID() string { return s.ledgerID }

// Created says whether Open found no store and made one.
func (s *Store) Created() bool { return s.created }

// Head is the last durable position that the read model shows; 0 if there is none, or before Load.
func (s *Store) Head() uint64 { return s.feed.position() }

// Close commits what already waits, refuses the rest, and closes the files.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		if s.model != nil {
			<-s.stopped
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
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
