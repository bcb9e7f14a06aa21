package modes

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Watcher polls a modes file. It reads the content each time, because a modification time can stay the same across two
// edits, and notifications don't survive the atomic renames by which configuration is commonly replaced. A change
// counts once two polls in a row have seen the same content.
type Watcher struct {
	Path    string
	Methods []string
	// Before holds the modes of methods that the file does not name, if it names no default.
	Before Table
	Every  time.Duration
	// Table is the table in force, at first the one that Load returned.
	Table Table
	// Changed is called with each good table that differs from the one in force, or that ends a failure. by is what the file
	// says about its last change: see Author.
	Changed func(table Table, by string)
	// Failed is called once for each bad content, and for each other reason why the file can't be used. The last good
	// table stays in force.
	Failed func(error)

	// seen is what the last poll saw. judged is what was last judged.
	seen, judged sight
	failing      bool
}

// sight is what a poll saw: the file's content, or why the file can't be read. The zero value equals no other, not even
// itself.
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

// poll judges what two polls in a row saw alike. A single poll may see a file that is just being written or replaced.
func (w *Watcher) poll() {
	now := sight{taken: true}
	now.content, now.err = Read(w.Path)
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
	table, err := parse(w.Path, now.content, w.Methods, w.Before)
	if err != nil {
		w.fail(err)
		return
	}
	if slices.Equal(table, w.Table) && !w.failing {
		return
	}
	w.Table, w.failing = table, false
	w.Changed(table, Author(now.content))
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
