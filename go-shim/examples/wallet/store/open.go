//go:build unix

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"syscall"
)

// logLimit is the size in bytes to which SQLite cuts a longer log when it starts the log over. A log can grow longer
// while readers use it.
const logLimit = 16 << 20

// commitCache is how large the committer's page cache may be, in KiB, unless the read tables are kept.
const commitCache = 64 << 10

// writing holds the settings of the connection that commits. A checkpoint is due at 4,096 pages, which are logLimit
// bytes.
var writing = []string{
	"synchronous = FULL", cacheSize(commitCache), "wal_autocheckpoint = 4096", fmt.Sprintf("journal_size_limit = %d", logLimit),
}

// querier answers the store's reads.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens the store at path, or creates it if there is no file. Post and reads from memory work only after Load.
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
		tasks:      make(chan func()),
		closing:    make(chan struct{}),
		stopped:    make(chan struct{}),
		trimmed:    make(chan struct{}),
		optimistic: true,
	}
	s.feed.changed = make(chan struct{})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeFiles())
		}
	}()
	if s.path, err = realPath(path); err != nil {
		return nil, err
	}
	if err = s.findOrCreate(ctx); err != nil {
		return nil, err
	}
	if err = s.lockFiles(); err != nil {
		return nil, err
	}
	if s.writeBlocked == nil {
		err = s.openToWrite(ctx)
	}
	if s.writeBlocked == nil && options.ReadAnyway {
		s.writeBlocked = writeBlockedBy(err)
	}
	switch {
	case errors.Is(s.writeBlocked, ErrReadOnly):
		err = s.openToRead(ctx)
	case errors.Is(s.writeBlocked, ErrFull):
		err = s.openOnFullDisk(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, s.lockLog()
}

func (s *Store) findOrCreate(ctx context.Context) error {
	switch what, err := look(s.path); {
	case err != nil:
		return err
	case what == foundEmpty && !s.options.New:
		return ErrEmpty
	case what == foundNothing:
		s.created, err = create(ctx, s.path)
		return err
	}
	return nil
}

// lockFiles locks the database and, if there is one, the log. If nothing can be written, other processes may read too.
func (s *Store) lockFiles() (err error) {
	s.lock, err = lockFile(s.path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		if err = fmt.Errorf("%w (%w)", ErrReadOnly, err); !s.options.ReadAnyway {
			return err
		}
		s.writeBlocked = err
		s.lock, err = shareFile(s.path)
	}
	if err != nil {
		return err
	}
	if err := checkNames(s.path); err != nil {
		return err
	}
	if hasLog(s.path) {
		return s.lockLog()
	}
	return nil
}

// lockLog locks the log that SQLite has open or is about to open.
func (s *Store) lockLog() (err error) {
	if !s.lock.isAt(s.path) {
		return fmt.Errorf("%w: the file was replaced meanwhile", ErrLocked)
	}
	if lockPath(s.path) != s.path || s.w == nil && s.writeBlocked != nil || s.logLock != nil && s.logLock.isAt(logPath(s.path)) {
		return nil
	}
	if err := s.logLock.close(); err != nil {
		return err
	}
	s.logLock, err = lockFile(logPath(s.path))
	return err
}

func (s *Store) openToWrite(ctx context.Context) (err error) {
	if err := s.openWriter(ctx); err != nil {
		return err
	}
	if s.readers, err = openSQLite(s.path, "query_only(1)"); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	s.statements = newPrepared(s.readers)
	s.reads = s.statements
	return nil
}

// openOnFullDisk opens the store on a full disk. It does without the log's index, a file that connections share and that
// the disk has no room for. So there can be only one connection, which answers reads too. Reads stop at Head, so they
// don't see what this connection has written but not committed.
func (s *Store) openOnFullDisk(ctx context.Context) error {
	if err := s.openWriter(ctx, "locking_mode = EXCLUSIVE"); err != nil {
		return err
	}
	s.reads = s.w.conn
	return nil
}

func (s *Store) openWriter(ctx context.Context, first ...string) (err error) {
	if s.writeDB, err = openSQLite(s.path); err != nil {
		return err
	}
	s.writeDB.SetMaxOpenConns(1)
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return errors.Join(openError(err), s.writeDB.Close())
	}
	// The settings are made one by one. The driver would sort them, but the locking mode must come first, because most
	// of the others already read the database.
	for _, setting := range append(first, writing...) {
		if err == nil {
			_, err = conn.ExecContext(ctx, "PRAGMA "+setting)
			err = openError(err)
		}
	}
	if err == nil {
		err = s.prepareWriter(ctx, conn)
	}
	if err != nil {
		return errors.Join(err, conn.Close(), s.writeDB.Close())
	}
	return nil
}

func (s *Store) prepareWriter(ctx context.Context, conn *sql.Conn) (err error) {
	var created bool
	if s.ledgerID, created, err = prepareSchema(ctx, conn); err != nil {
		return err
	}
	s.created = s.created || created
	// This comes after the check of the schema, because it writes to the file, which might not be a store.
	if _, err := conn.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return openError(err)
	}
	if s.w, err = newWriter(ctx, conn); err != nil {
		return err
	}
	s.loaded = s.w.next - 1
	return nil
}

func (s *Store) openToRead(ctx context.Context) (err error) {
	if err := s.lock.share(); err != nil {
		return err
	}
	if s.readers, err = openSQLiteAs(s.path, readingMode(s.path), "query_only(1)"); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.reads = s.readers
	conn, err := s.readers.Conn(ctx)
	if err != nil {
		return openError(err)
	}
	defer conn.Close()
	empty, err := checkSchema(ctx, conn)
	switch {
	case err != nil:
		return err
	case empty:
		return ErrNotStore
	}
	if s.ledgerID, err = readLedgerID(ctx, conn); err != nil {
		return err
	}
	s.loaded, err = lastPosition(ctx, conn)
	return err
}

func openSQLite(path string, pragmas ...string) (*sql.DB, error) {
	return openSQLiteAs(path, nil, pragmas...)
}

// openSQLiteAs adds options of SQLite, such as mode, to the URI of the file.
func openSQLiteAs(path string, how url.Values, pragmas ...string) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	maps.Copy(query, how)
	return sql.Open("sqlite", "file:"+(&url.URL{Path: absolute}).EscapedPath()+"?"+query.Encode())
}
