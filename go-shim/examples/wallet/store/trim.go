//go:build unix

package store

import (
	"context"
	"time"
)

const (
	// keepTrim cuts a log of more than logKept bytes if nothing was posted since its last look at the log.
	lookAtLogEvery = time.Second
	logKept        = 1 << 20
	// A log of more than logPaused bytes grows because views follow each other without a gap, so that SQLite never finds
	// it unused. Then views pause for the cut, but at most at every pauseEvery-th look.
	logPaused  = 4 * logLimit
	pauseEvery = 10
)

// keepTrim cuts the log. Otherwise the log would keep its greatest length until the store is closed. keepTrim uses its
// own connection, so that the committer waits at most for the cut and not for the copying before it.
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
	pauseAt := int64(logPaused)
	if s.options.pauseAt != 0 {
		pauseAt = s.options.pauseAt
	}
	paused := 0
	for last, look := s.Head(), 1; ; look++ {
		select {
		case <-looks:
		case <-ctx.Done():
			return
		}
		if views := s.views.Load(); views != nil && s.writeBlocked == nil && logSize(s.path) > pauseAt && look-paused >= pauseEvery {
			paused = look
			views.pause(ctx, func() { _ = s.trim(ctx) })
		}
		idle := last == s.Head()
		if last = s.Head(); idle && s.writeBlocked == nil && logSize(s.path) > logKept {
			// This can fail because somebody reads or the disk is full. Then the next look tries again.
			_ = s.trim(ctx)
		}
	}
}

// trim copies the log into the database and then cuts it. The copying blocks nobody. The cut does not wait for others:
// it fails if they use the log.
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
