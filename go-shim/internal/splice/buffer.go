package splice

import "sync"

const (
	// chunkBytes is how much one read takes from the socket. It holds the longest frame.
	chunkBytes = 32 << 10
	// keptBytes is the longest buffer that a pool keeps.
	keptBytes = 128 << 10
	// keptBody is the longest buffer for a request that a pooled stream keeps.
	keptBody = 8 << 10
)

// buffer holds bytes between two of its users. It comes from a pool and goes back when it is empty.
type buffer struct {
	b []byte
	// off is how much of b was taken.
	off int
}

func (b *buffer) left() int { return len(b.b) - b.off }

// pools are shared by the connections of a Server, so that an idle connection has no buffer.
type pools struct {
	// secret is what the tables of streams are ordered by.
	secret  uint32
	buffers sync.Pool
	streams sync.Pool
	chunks  sync.Pool
	batches sync.Pool
	slots   [slotClasses]sync.Pool
}

func (p *pools) buffer() *buffer {
	if b, ok := p.buffers.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, 4096)}
}

func (p *pools) putBuffer(b *buffer) {
	if cap(b.b) > keptBytes {
		return
	}
	b.b, b.off = b.b[:0], 0
	p.buffers.Put(b)
}

// Get is half of a mem.BufferPool, as quiet's readers want one. All buffers are of one size.
func (p *pools) Get(int) *[]byte {
	if b, ok := p.chunks.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, chunkBytes)
	return &b
}

// Put is the other half.
func (p *pools) Put(b *[]byte) { p.chunks.Put(b) }

// batch is what parsing a chunk brings to light.
type batch struct {
	// calls are complete, and go to the policy.
	calls []*Call
	// gone are calls of the policy whose clients have left.
	gone []*Call
}

func (p *pools) batch() *batch {
	if b, ok := p.batches.Get().(*batch); ok {
		return b
	}
	return new(batch)
}

func (p *pools) putBatch(b *batch) {
	clear(b.calls)
	clear(b.gone)
	b.calls, b.gone = b.calls[:0], b.gone[:0]
	p.batches.Put(b)
}
