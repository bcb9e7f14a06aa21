//go:build unix && !linux

package store

// lockPath returns the file to lock for a database: another file beside it, because on these systems our lock on the
// database could conflict with SQLite's.
func lockPath(db string) string { return db + ".lock" }
