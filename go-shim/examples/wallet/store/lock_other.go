//go:build unix && !linux

package store

// lockPath: here SQLite's locks on the database would meet ours, so there is a file beside it.
func lockPath(db string) string { return db + ".lock" }
