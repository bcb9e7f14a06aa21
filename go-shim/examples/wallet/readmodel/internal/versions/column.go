package versions

import "sync/atomic"

const (
	columnBits = 10
	columnSize = 1 << columnBits
)

// column is an array that only grows, in chunks that never move. One writer adds elements while readers use earlier
// ones. The writer must write an element before it publishes the element's index to readers, atomically.
type column[T any] struct {
	chunks atomic.Pointer[[]*[columnSize]T]
}

// at returns the element at an index. reserve must have been called for the index.
func (c *column[T]) at(i uint32) *T {
	return &(*c.chunks.Load())[i>>columnBits][i%columnSize]
}

// reserve makes room up to index i. Only the writer may call it.
func (c *column[T]) reserve(i uint32) {
	held := c.chunks.Load()
	if held == nil || int(i>>columnBits) >= len(*held) {
		c.grow(i)
	}
}

func (c *column[T]) grow(i uint32) {
	var chunks []*[columnSize]T
	if held := c.chunks.Load(); held != nil {
		chunks = *held
	}
	for int(i>>columnBits) >= len(chunks) {
		chunks = append(chunks, new([columnSize]T))
	}
	c.chunks.Store(&chunks)
}
