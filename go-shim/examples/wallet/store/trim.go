//go:build unix

package store

import (
	"context"
	"time"
)

const (
	// A log that is longer than logKept is cut when nothing was posted from one look to the next.
	lookAtLogEvery = time.Second
	logKept        = 1 << 20
)

// keepTrim cuts the log, which else keeps its greatest length until the store is closed. It does so on a connection of
// its own: the committer waits for at most the cut, not for what has to be copied before.
func (s *Store) keepTrim() {
	defer close(s.trimmed)
	looks := s.options.looks
	if looks == nil {
		ticker := time.NewTicker(lookAtLogEvery)
		defer ticker.Stop()
		looks = ticker.C
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.closing
		cancel()
	}()
	for last := s.Head(); ; {
		select {
		case <-looks:
		case <-ctx.Done():
			return
		}
		idle := last == s.Head()
		if last = s.Head(); idle && s.hindrance == nil && logSize(s.path) > logKept {
			// If it fails, because somebody reads or the disk is full, the next look tries again.
			_ = s.trim(ctx)
		}
	}
}

// trim copies the log into the database, which holds up nobody, and then cuts it, which waits for nobody.
func (s *Store) trim(ctx context.Context) error {
	db, err := openSQLite(s.path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `PRAGMA busy_timeout = 0`); err != nil {
		return err
	}
	var busy, length, copied int
	err = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &length, &copied)
	if err != nil || copied < length {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}
