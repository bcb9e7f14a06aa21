//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// realPath follows symbolic links, because SQLite keeps its write-ahead log beside the file itself. The file need not
// exist.
func realPath(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return "", fmt.Errorf("%w: that is a symbolic link to %s, which is not there", ErrCreate, target)
		}
		if resolved, err = filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			resolved = filepath.Join(resolved, filepath.Base(path))
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCreate, err)
	}
	return filepath.Abs(resolved)
}

// found says what is at a path.
type found int

const (
	foundNothing found = iota
	foundEmpty
	foundFile
)

// look says what is at a path. It refuses what cannot be a store, without reading it.
func look(path string) (found, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return foundNothing, checkNoLog(path)
	case err != nil:
		return foundNothing, fmt.Errorf("%w: %w", ErrCreate, err)
	case info.IsDir():
		return foundNothing, fmt.Errorf("%w: that is a folder, name a file in it", ErrCreate)
	case !info.Mode().IsRegular():
		return foundNothing, ErrNotStore
	case info.Size() == 0:
		return foundEmpty, checkNoLog(path)
	}
	return foundFile, nil
}

// checkNoLog fails if there is a log. With an empty database SQLite would throw the log away, with all that is in it.
func checkNoLog(path string) error {
	if hasLog(path) {
		return fmt.Errorf("%w: %s", ErrLost, logPath(path))
	}
	return nil
}

// logPath returns the path of the write-ahead log, where SQLite keeps commits that are not yet in the database.
func logPath(path string) string { return path + "-wal" }

func hasLog(path string) bool { return logSize(path) > 0 }

func logSize(path string) int64 {
	info, err := os.Stat(logPath(path))
	if err != nil {
		return 0
	}
	return info.Size()
}

// checkNames refuses a file with several names. SQLite keeps a log beside each name, so commits under one name would be
// missed or overwritten under another.
func checkNames(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n := names(info); n > 1 {
		return fmt.Errorf("%w (it has %d)", ErrLinked, n)
	}
	return nil
}
