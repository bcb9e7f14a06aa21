package splice

import (
	"net"

	"google.golang.org/grpc/mem"
)

// smallBytes is how much an idle connection keeps for reading if it can't be told when there are bytes.
const smallBytes = 1 << 10

// readyReader is a connection that asks for a buffer when there are bytes.
type readyReader interface {
	ReadOnReady(length int, pool mem.BufferPool) (*[]byte, int, error)
}

// input reads from the client. It has a buffer from the pool only while there are bytes in it.
type input struct {
	from  net.Conn
	ready readyReader // nil if the connection (TLS, say) is no such
	pools *pools
	chunk *[]byte // nil if there is none
	n     int     // bytes in it
	small []byte
	more  bool // the last read filled small, so there may be more
}

func newInput(from net.Conn, p *pools) input {
	in := input{from: from, pools: p}
	if s, ok := from.(*socket); ok {
		in.ready, _ = s.Conn.(readyReader)
	}
	return in
}

// read waits for bytes, and returns how many have come.
func (in *input) read() (n int, err error) {
	switch {
	case in.chunk != nil:
		n, err = in.from.Read((*in.chunk)[in.n:])
	case in.ready != nil:
		in.chunk, n, err = in.ready.ReadOnReady(chunkBytes, in.pools)
	case in.more:
		in.chunk = in.pools.Get(chunkBytes)
		n, err = in.from.Read(*in.chunk)
		in.more = n >= smallBytes
	default:
		if in.small == nil {
			in.small = make([]byte, smallBytes)
		}
		if n, err = in.from.Read(in.small); n > 0 {
			in.chunk = in.pools.Get(chunkBytes)
			copy(*in.chunk, in.small[:n])
			in.more = n == smallBytes
		}
	}
	in.n += n
	return n, err
}

func (in *input) bytes() []byte { return (*in.chunk)[:in.n] }

// used drops the first n bytes.
func (in *input) used(n int) {
	in.n = copy(*in.chunk, (*in.chunk)[n:in.n])
	if in.n == 0 {
		in.pools.Put(in.chunk)
		in.chunk = nil
	}
}
