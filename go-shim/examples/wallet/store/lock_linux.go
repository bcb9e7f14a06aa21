package store

// lockPath: the lock is on the database itself, whatever names it has. Linux keeps these locks (flock) apart from those
// that SQLite takes (fcntl).
func lockPath(db string) string { return db }
