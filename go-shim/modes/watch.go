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
// and notifications don't survive the atomic renames by which configuration is commonly replaced.
type Watcher struct {
	Path     string
	Methods  []string
	Fallback Mode
	Every    time.Duration
	// Table is the one in force, as Load gave it.
	Table Table
	// Changed is told each good table that differs from the one in force, and each that ends a failure.
	Changed func(Table)
	// Failed is told once of each bad content, and once of the file's disappearance. The last good table stays.
	Failed func(error)

	content []byte
	missing bool
	failing bool
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

func (w *Watcher) poll() {
	content, err := read(w.Path)
	if err != nil {
		if !w.missing {
			w.missing, w.failing = true, true
			w.Failed(explain(err))
		}
		return
	}
	returned := w.missing
	w.missing = false
	if bytes.Equal(content, w.content) && !returned {
		return
	}
	w.content = content
	table, err := parse(w.Path, content, w.Methods, w.Fallback)
	if err != nil {
		w.failing = true
		w.Failed(err)
		return
	}
	if slices.Equal(table, w.Table) && !w.failing {
		return
	}
	w.Table, w.failing = table, false
	w.Changed(table)
}

func explain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, errors.New("the last good modes stay until the file is back"))
	}
	return err
}
