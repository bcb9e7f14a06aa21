package store

import (
	"math"
	"path/filepath"
	"syscall"
)

// freeBytes returns how much room there is beside a file, or no limit if that cannot be told.
func freeBytes(path string) uint64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &disk); err != nil {
		return math.MaxUint64
	}
	return disk.Bavail * uint64(disk.Bsize)
}
