package lane

import "sync"

// leastBuffer must be above grpc-go's threshold for pooling. Below it, grpc-go never says that it is done with a
// buffer.
const leastBuffer = 8 << 10

// buffers is the pool of buffers for outgoing messages. grpc-go returns a buffer once the message is on the wire or was
// given up. Until the peer's first reply it keeps all messages of a stream, to send them again. buffers implements
// mem.BufferPool.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, leastBuffer)
	return &buffer
}

// Get implements mem.BufferPool.
func (b *buffers) Get(length int) *[]byte {
	buffer := make([]byte, length)
	return &buffer
}

// Put implements mem.BufferPool.
func (b *buffers) Put(buffer *[]byte) {
	*buffer = (*buffer)[:0]
	b.pool.Put(buffer)
}
