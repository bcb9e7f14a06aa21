package modes

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Watcher polls a modes file. It reads the content each time: a modification time can stay the same across two edits,
// and notifications don't survive the atomic renames by which configuration is commonly replaced. A change counts once two
// polls have seen the same.
type Watcher struct {
	Path     string
	Methods  []string
	Fallback Mode
	Every    time.Duration
	// Table is the one in force, as Load gave it.
	Table Table
	// Changed is told each good table that differs from the one in force, and each that ends a failure.
	Changed func(Table)
	// Failed is told once of each bad content, and of each other reason why there is none. The last good table stays.
	Failed func(error)

	// seen is what the last poll saw, and judged what was last told about.
	seen, judged sight
	failing      bool
}

// sight is what a poll saw: the file's content, or why it can't be read. Its zero value is like none.
type sight struct {
	taken   bool
	content []byte
	err     error
}

func (s sight) equal(other sight) bool {
	if !s.taken || !other.taken || (s.err == nil) != (other.err == nil) {
		return false
	}
	return bytes.Equal(s.content, other.content) && (s.err == nil || s.err.Error() == other.err.Error())
}

// Run polls until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.poll()
		}
	}
}

// poll judges what two polls saw alike: one alone may see a file that is just being written, or replaced.
func (w *Watcher) poll() {
	now := sight{taken: true}
	now.content, now.err = read(w.Path)
	settled := now.equal(w.seen)
	w.seen = now
	if !settled || now.equal(w.judged) {
		return
	}
	w.judged = now
	if now.err != nil {
		w.fail(explain(now.err))
		return
	}
	table, err := parse(w.Path, now.content, w.Methods, w.Fallback)
	if err != nil {
		w.fail(err)
		return
	}
	if slices.Equal(table, w.Table) && !w.failing {
		return
	}
	w.Table, w.failing = table, false
	w.Changed(table)
}

func (w *Watcher) fail(err error) {
	w.failing = true
	w.Failed(err)
}

func explain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, errors.New("the last good modes stay until the file is back"))
	}
	return err
}
