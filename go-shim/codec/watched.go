package codec

import (
	"runtime"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// pieceBytes is the length of the pieces into which a message is cut, except the last. A Watcher is told of each piece
// that leaves. One HTTP/2 frame carries that much.
const pieceBytes = 16 << 10

// pooledBytes is the smallest capacity of a buffer that grpc-go gives back; see mem.IsBelowBufferPoolingThreshold.
// (grpc-go 1.67 and older go by the length instead. Package frontdoor, which watches messages, needs a later one.)
const pooledBytes = 1<<10 + 1

// Watcher is told what becomes of the bytes of a message.
type Watcher interface {
	// Left is called, from any goroutine, when grpc-go holds this many bytes fewer.
	Left(bytes int)
	// Gone is called when grpc-go holds none of the bytes any more, whatever Left has reported. It may be called more
	// than once.
	Gone()
}

// Watched is a message to be sent once. Its Watcher is told when it has left.
type Watched struct {
	Message any
	Watcher Watcher
}

// Size returns the length of a message once it is encoded, or -1 if this package does not know the message's type.
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
	// If a call is reset at the moment when its reply is queued, grpc-go drops the reply without giving it back. Then
	// the garbage collector finds it and calls Gone.
	runtime.AddCleanup(w, Watcher.Gone, w.Watcher)
	data, err := c.Marshal(w.Message)
	if err != nil {
		w.Watcher.Gone()
		return nil, err
	}
	defer data.Free()
	if data.Len() < pooledBytes {
		// The capacity makes grpc-go give back even a short buffer.
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

// piece is a part of a message. It is also the pool to which grpc-go gives that part back.
type piece struct {
	of    *Watched
	bytes []byte
	// whole is the buffer that holds the bytes.
	whole mem.Buffer
}

func (w *Watched) piece(bytes []byte, whole mem.Buffer) mem.Buffer {
	p := &piece{w, bytes, whole}
	return mem.NewBuffer(&p.bytes, p)
}

// Get implements mem.BufferPool.
func (p *piece) Get(length int) *[]byte {
	bytes := make([]byte, length)
	return &bytes
}

// Put implements mem.BufferPool. It is called once, when grpc-go has no more use for the piece.
func (p *piece) Put(*[]byte) {
	p.whole.Free()
	p.of.Watcher.Left(len(p.bytes))
}
