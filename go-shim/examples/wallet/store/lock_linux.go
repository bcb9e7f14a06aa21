package store

// lockPath returns the file to lock for a database: the database itself, so that the lock holds under all of its names.
// Linux keeps these locks (flock) apart from SQLite's (fcntl).
func lockPath(db string) string { return db }
