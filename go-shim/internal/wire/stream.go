package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/h2"
)

// Handler is a stream's user.
type Handler interface {
	// Next returns the next message to send, or nil. The bytes must stay as they are until it is called again. After the
	// last message this end of the stream is closed. An error cancels the stream. Next is called with the connection's
	// lock.
	Next() (message []byte, last bool, err error)
	// Message takes a message, whose bytes are only valid during the call. An error cancels the stream. Message and
	// Ended are called by the connection's reader, which waits for them.
	Message(message []byte) error
	// Ended comes once, after everything else: with nil for the status OK, with another status, or with why the stream
	// was cancelled.
	Ended(err error)
}

// Opener makes streams. Conn is one.
type Opener interface {
	Open(call Call) (*Stream, error)
}

// Call says what a stream is for.
type Call struct {
	// Method is "/package.Service/Method".
	Method string
	// Timeout is told to the peer if it is above 0.
	Timeout time.Duration
	// MaxMessageBytes is the longest message that the stream takes.
	MaxMessageBytes int
	Handler         Handler
}

// Stream is one call.
type Stream struct {
	conn *Conn
	call Call
	id   uint32

	// The connection's lock guards these fields.
	window, received, used int64
	// cause is why this end has cancelled the stream.
	cause error
	// loaded is true while message is what is left of one that is being sent. prefixed is true if its length was.
	// finished is true after the last message was loaded.
	loaded, prefixed, finished bool
	message                    []byte

	// Only the reader uses these fields. partial is the part of a message that has come, with its prefix.
	partial []byte
	began   bool
}

// Open begins a call. It doesn't wait for the peer.
func (c *Conn) Open(call Call) (*Stream, error) {
	s := &Stream{conn: c, call: call, received: int64(c.cfg.StreamWindow)}
	block := c.requestHead(call)
	c.mu.Lock()
	if c.err != nil || c.goingAway || c.nextID > maxWindow {
		cause := c.err
		c.mu.Unlock()
		if cause == nil {
			cause = ErrGoAway
		}
		return nil, unavailable(cause)
	}
	s.id, s.window = c.nextID, c.peerWindow
	c.nextID += 2
	f := h2.Frame{Length: len(block), Type: h2.Headers, Flags: h2.FlagEndHeaders, Stream: s.id}
	c.control = append(f.Append(c.control), block...)
	c.streams = append(c.streams, s)
	c.mu.Unlock()
	c.Flush()
	return s, nil
}

// requestHead uses no table: calls are rare.
func (c *Conn) requestHead(call Call) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	write := func(name, value string) {
		_ = encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true}) // a buffer takes it
	}
	write(":method", "POST")
	write(":scheme", "http")
	write(":path", call.Method)
	write(":authority", c.cfg.Authority)
	write("content-type", "application/grpc")
	write("user-agent", "hotpath-shim")
	write("te", "trailers")
	if call.Timeout > 0 {
		write("grpc-timeout", fmt.Sprintf("%dm", min(max(call.Timeout.Milliseconds(), 1), 99_999_999)))
	}
	return block.Bytes()
}

// Flush is Conn.Flush.
func (s *Stream) Flush() { s.conn.Flush() }

// Cancel ends the stream with a cause, unless it has ended.
func (s *Stream) Cancel(cause error) {
	s.conn.mu.Lock()
	s.cancel(cause)
	s.conn.mu.Unlock()
	s.conn.Flush()
}

// cancel needs the connection's lock.
func (s *Stream) cancel(cause error) {
	c := s.conn
	if s.cause != nil || c.find(s.id) == nil {
		return
	}
	s.cause, s.loaded = cause, false
	c.control = h2.AppendRST(c.control, s.id, h2.Cancel)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; a closed connection has no need of it
}

// take puts messages together.
func (s *Stream) take(b []byte) error {
	for len(b) > 0 {
		if len(s.partial) == 0 {
			n, err := s.whole(b)
			if err != nil {
				return err
			}
			if n > 0 {
				if err := s.call.Handler.Message(b[prefixLen:n]); err != nil {
					return err
				}
				b = b[n:]
				continue
			}
		}
		want := prefixLen
		if len(s.partial) >= prefixLen {
			want += int(binary.BigEndian.Uint32(s.partial[1:]))
		}
		n := min(want-len(s.partial), len(b))
		s.partial, b = append(s.partial, b[:n]...), b[n:]
		n, err := s.whole(s.partial)
		if err != nil {
			return err
		}
		if n > 0 {
			message := s.partial[prefixLen:n]
			if s.partial = s.partial[:0]; cap(s.partial) > keptBytes {
				s.partial = nil
			}
			if err := s.call.Handler.Message(message); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole returns the length of the message at the start of b with its prefix, or 0 if more of it is to come.
func (s *Stream) whole(b []byte) (int, error) {
	if len(b) < prefixLen {
		return 0, nil
	}
	if b[0] != 0 {
		return 0, status.Error(codes.Internal, "a compressed message, which nobody asked for")
	}
	n := int(binary.BigEndian.Uint32(b[1:]))
	if n > s.call.MaxMessageBytes {
		return 0, status.Errorf(codes.ResourceExhausted, "a message of %d bytes, at most %d", n, s.call.MaxMessageBytes)
	}
	if len(b) < prefixLen+n {
		return 0, nil
	}
	return prefixLen + n, nil
}

func (s *Stream) end(err error) { s.call.Handler.Ended(err) }

// Unary makes a call of one message each way.
func (c *Conn) Unary(ctx context.Context, method string, maxBytes int, request []byte) ([]byte, error) {
	u := &unary{request: append([]byte{}, request...), done: make(chan error, 1)}
	call := Call{Method: method, MaxMessageBytes: maxBytes, Handler: u}
	if deadline, ok := ctx.Deadline(); ok {
		call.Timeout = time.Until(deadline)
	}
	s, err := c.Open(call)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-u.done:
	case <-ctx.Done():
		s.Cancel(status.FromContextError(ctx.Err()).Err())
		err = <-u.done
	}
	if err == nil && u.replies != 1 {
		err = status.Errorf(codes.Internal, "%d replies to a unary call", u.replies)
	}
	return u.reply, err
}

// unary is the handler of a unary call.
type unary struct {
	request []byte
	reply   []byte
	replies int
	done    chan error
}

func (u *unary) Next() ([]byte, bool, error) { return u.request, true, nil }

func (u *unary) Message(message []byte) error {
	u.reply, u.replies = bytes.Clone(message), u.replies+1
	return nil
}

func (u *unary) Ended(err error) { u.done <- err }
