package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultViews is how many views can be open at once unless Options says otherwise. A view is busy on a core most of the
// time, so more than a few per core only wait for each other.
const DefaultViews = 4

const (
	// longestWait bounds how long a caller without a deadline waits for its turn.
	longestWait = 5 * time.Second
	// viewCache is the page cache of a view's connection, in KiB. The system's page cache holds the tables anyway.
	viewCache = 2 << 10
	// pauseAtMost bounds how long the log may keep new views waiting.
	pauseAtMost = time.Second
)

// viewPool bounds the views that are open at once and keeps their connections.
type viewPool struct {
	db *sql.DB
	// only is the committer's connection if there can be no other, and alone its lock. Otherwise both are nil.
	only  *sql.Conn
	alone *sync.Mutex
	// slots holds the free connections. A nil one is to be opened on first use.
	slots   chan *viewConn
	closing <-chan struct{}

	// resting is true while the model is another one. Then no connection is kept.
	resting atomic.Bool

	waiting atomic.Int64
	refused atomic.Uint64
}

// viewConn is a connection with its statements.
type viewConn struct {
	conn                                              *sql.Conn
	begin, end, position, holdings, posted, all, name *sql.Stmt
}

// ViewLoad says how busy the views are.
type ViewLoad struct {
	// Open counts views, Waiting callers that wait for one, and Refused those that got ErrBusy.
	Open, Waiting int
	Refused       uint64
}

// ViewLoad returns how busy the views are.
func (s *Store) ViewLoad() ViewLoad {
	p := s.views.Load()
	if p == nil {
		return ViewLoad{}
	}
	return ViewLoad{Open: cap(p.slots) - len(p.slots), Waiting: int(p.waiting.Load()), Refused: p.refused.Load()}
}

func (s *Store) openViews() (*viewPool, error) {
	p := &viewPool{closing: s.closing}
	number := s.options.Views
	if number == 0 {
		number = DefaultViews
	}
	if s.readers == nil {
		p.only, p.alone, number = s.w.conn, &s.w.alone, 1
	} else {
		how := readingMode(s.path)
		if s.w != nil {
			how = nil
		}
		var err error
		if p.db, err = openSQLiteAs(s.path, how, "query_only(1)", fmt.Sprintf("cache_size(-%d)", viewCache)); err != nil {
			return nil, err
		}
		// What a view gives back is broken, or the store is being closed. So nothing may be used again.
		p.db.SetMaxIdleConns(0)
	}
	p.slots = make(chan *viewConn, number)
	for range number {
		p.slots <- nil
	}
	return p, nil
}

// close waits for the open views, which end soon after closing is closed.
func (p *viewPool) close() error {
	var errs []error
	for range cap(p.slots) {
		if c := <-p.slots; c != nil {
			errs = append(errs, c.close(p))
		}
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	return errors.Join(errs...)
}

// take returns a connection as soon as there is one. It gives up with ErrBusy shortly before the caller does.
func (p *viewPool) take(ctx context.Context) (*viewConn, error) {
	var c *viewConn
	select {
	case <-p.closing:
		return nil, ErrClosed
	default:
	}
	select {
	case c = <-p.slots:
	default:
		var err error
		if c, err = p.await(ctx); err != nil {
			return nil, err
		}
	}
	if c != nil {
		return c, nil
	}
	c, err := p.open()
	if err != nil {
		p.slots <- nil
		return nil, fmt.Errorf("open a connection: %w", err)
	}
	return c, nil
}

func (p *viewPool) await(ctx context.Context) (*viewConn, error) {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	timer := time.NewTimer(patience(ctx))
	defer timer.Stop()
	select {
	case c := <-p.slots:
		return c, nil
	case <-timer.C:
		p.refused.Add(1)
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closing:
		return nil, ErrClosed
	}
}

// patience leaves a tenth of the caller's time, so that ErrBusy arrives before the deadline.
func patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return longestWait
	}
	left := time.Until(deadline)
	return min(longestWait, left-left/10)
}

func (p *viewPool) put(c *viewConn) {
	if c != nil && p.resting.Load() {
		_ = c.close(p)
		c = nil
	}
	p.slots <- c
}

// rest gives up the connections, because the model is another one. Reads that began before may still open views.
func (p *viewPool) rest() {
	p.resting.Store(true)
	for range cap(p.slots) {
		select {
		case c := <-p.slots:
			p.put(c)
		default:
		}
	}
}

// pause runs f while no view is open, unless views stay open for too long.
func (p *viewPool) pause(ctx context.Context, f func()) {
	ctx, cancel := context.WithTimeout(ctx, pauseAtMost)
	defer cancel()
	for range cap(p.slots) {
		select {
		case c := <-p.slots:
			defer p.put(c)
		case <-ctx.Done():
			return
		}
	}
	f()
}

func (p *viewPool) open() (*viewConn, error) {
	// The caller's context is not used: what is opened here outlives its call.
	ctx := context.Background()
	c := &viewConn{conn: p.only}
	var err error
	if c.conn == nil {
		if c.conn, err = p.db.Conn(ctx); err != nil {
			return nil, err
		}
	}
	for text, stmt := range map[string]**sql.Stmt{
		`BEGIN`:                           &c.begin,
		`COMMIT`:                          &c.end,
		`SELECT position FROM read_marks`: &c.position,
		holdingRows:                       &c.holdings,
		postedEntries:                     &c.posted,
		allEntries:                        &c.all,
		`SELECT name FROM counterparties WHERE number = ?`: &c.name,
	} {
		if *stmt, err = c.conn.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(err, c.close(p))
		}
	}
	return c, nil
}

func (c *viewConn) close(p *viewPool) error {
	var errs []error
	for _, stmt := range []*sql.Stmt{c.begin, c.end, c.position, c.holdings, c.posted, c.all, c.name} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if p.only == nil {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(errs...)
}
