package store

import (
	"context"
	"fmt"
	"math"
)

// spare is how much room a switch leaves for posts and their log, in bytes.
const spare = 64 << 20

// hasRoom refuses to make read tables for which the disk has no room. They take about half as much as the rest. On a disk
// that they fill, posts would fail too.
func (s *Store) hasRoom(ctx context.Context, marks tableMarks) error {
	head := s.Head()
	if head <= marks.position {
		return nil
	}
	var pages, size int64
	err := s.reads.QueryRowContext(ctx, `SELECT (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)`).
		Scan(&pages, &size)
	if err != nil {
		return err
	}
	free := freeBytes
	if s.options.free != nil {
		free = s.options.free
	}
	missing := float64(head-marks.position) / float64(head)
	need := uint64(float64(pages*size)/2*missing) + spare
	if has := free(s.path); has < need {
		return fmt.Errorf("%w: the read tables need %d MB there, and it has %d MB", ErrFull, mega(need), mega(has))
	}
	return nil
}

func mega(bytes uint64) uint64 { return uint64(math.Ceil(float64(bytes) / 1e6)) }
