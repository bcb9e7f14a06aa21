package codec

import (
	"runtime"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// pieceBytes is how much of a message leaves between two words to its Watcher: what one HTTP/2 frame carries.
const pieceBytes = 16 << 10

// pooledBytes is the shortest buffer that grpc-go gives back, see mem.IsBelowBufferPoolingThreshold.
const pooledBytes = 1<<10 + 1

// Watcher hears what becomes of the bytes of a message.
type Watcher interface {
	// Left says that grpc-go holds so many fewer of them. It is called from any goroutine.
	Left(bytes int)
	// Gone says that it holds none, whatever Left has said. It may be called more than once.
	Gone()
}

// Watched is a message to send, once, of which Watcher wants to know when it has left.
type Watched struct {
	Message any
	Watcher Watcher
}

// Size is how long a message will be once it is encoded, or -1 if this package does not know its kind.
func Size(v any) int {
	switch message := v.(type) {
	case *Raw:
		return len(message.Bytes)
	case *Shared:
		return message.Buffer.Len()
	case proto.Message:
		return proto.Size(message)
	default:
		return -1
	}
}

func (c passThrough) marshalWatched(w *Watched) (mem.BufferSlice, error) {
	// If a call is reset in the moment in which its reply is queued, grpc-go drops the reply without giving it back.
	runtime.AddCleanup(w, Watcher.Gone, w.Watcher)
	data, err := c.Marshal(w.Message)
	if err != nil {
		w.Watcher.Gone()
		return nil, err
	}
	defer data.Free()
	if data.Len() < pooledBytes {
		short := make([]byte, data.Len(), pooledBytes)
		data.CopyTo(short)
		return mem.BufferSlice{w.piece(short, mem.SliceBuffer(nil))}, nil
	}
	var pieces mem.BufferSlice
	for _, whole := range data {
		for bytes := whole.ReadOnlyData(); len(bytes) > 0; {
			end := pieceBytes
			if len(bytes) < pieceBytes+pooledBytes {
				end = len(bytes)
			}
			whole.Ref()
			pieces = append(pieces, w.piece(bytes[:end], whole))
			bytes = bytes[end:]
		}
	}
	return pieces, nil
}

// piece stands for some bytes of a message. To grpc-go it is the pool that they go back to.
type piece struct {
	of    *Watched
	bytes []byte
	// whole is what holds them.
	whole mem.Buffer
}

func (w *Watched) piece(bytes []byte, whole mem.Buffer) mem.Buffer {
	p := &piece{w, bytes, whole}
	return mem.NewBuffer(&p.bytes, p)
}

// Get is for pools that buffers are taken from.
func (p *piece) Get(length int) *[]byte {
	bytes := make([]byte, length)
	return &bytes
}

// Put is called once, when grpc-go has no more use for the piece.
func (p *piece) Put(*[]byte) {
	p.whole.Free()
	p.of.Watcher.Left(len(p.bytes))
}
