//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// emptyStoreBytes is about the size of a new store.
const emptyStoreBytes = 64 << 10

// create makes an empty store at path. It makes the store under another name and renames it, so that path has either a
// complete store or none, however this process ends. It returns false if another process was faster.
func create(ctx context.Context, path string) (made bool, err error) {
	unfinished := path + ".new"
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false, createError(err)
	}
	if err := file.Close(); err != nil {
		return false, createError(err)
	}
	lock, err := lockFile(unfinished)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // another process has just renamed it
	}
	if err != nil {
		return false, createError(err)
	}
	defer func() { err = errors.Join(err, lock.close()) }()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, os.Remove(unfinished)
	}
	// If the file has content, the process that wrote it was killed. The write shows whether the disk has room: the
	// system's error is clearer than SQLite's.
	err = os.WriteFile(unfinished, make([]byte, emptyStoreBytes), 0o644)
	if err == nil {
		err = os.Truncate(unfinished, 0)
	}
	if err == nil {
		err = writeSchema(ctx, unfinished)
	}
	if err != nil {
		return false, errors.Join(createError(err), os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return false, createError(err)
	}
	return true, syncFolder(filepath.Dir(path))
}

func writeSchema(ctx context.Context, path string) (err error) {
	// A journal in memory is enough, because an unfinished file is thrown away.
	db, err := openSQLite(path, "journal_mode(MEMORY)", "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return openError(err)
	}
	_, _, err = prepareSchema(ctx, conn)
	return errors.Join(err, conn.Close())
}

func createError(err error) error {
	switch {
	case errors.Is(err, ErrLocked), errors.Is(err, ErrFull), errors.Is(err, ErrCreate):
		return err
	case isNoSpace(err):
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrCreate, err)
}

// syncFolder makes the name of a new file durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
