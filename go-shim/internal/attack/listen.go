package attack

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Listen begins to read what the server says. A polite peer answers PINGs; it must not send more than a buffer's worth
// between two calls of Flush, or an answer could come between two parts of a frame.
func (p *Peer) Listen(polite bool) {
	p.heard = make(chan struct{})
	go func() {
		defer close(p.heard)
		framer := http2.NewFramer(p.conn, p.conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for {
			frame, err := framer.ReadFrame()
			if err == nil {
				p.hear(frame)
			} else {
				p.ended(err)
			}
			select {
			case p.changed <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
			if ping, ok := frame.(*http2.PingFrame); ok && polite && !ping.IsAck() {
				_ = framer.WritePing(true, ping.Data)
			}
		}
	}()
}

func (p *Peer) ended(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.seen.Closed = 1
	var connection http2.ConnectionError
	var stream http2.StreamError
	if errors.As(err, &connection) || errors.As(err, &stream) {
		count(&p.seen.Ends, "BROKEN FRAMES "+err.Error(), 1)
		p.seen.Wrong++
	}
}

func (p *Peer) hear(frame http2.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	head := frame.Header()
	p.seen.Received += int64(head.Length) + 9
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			p.seen.Acks++
		}
	case *http2.PingFrame:
		if f.IsAck() {
			p.seen.Pongs++
		}
	case *http2.WindowUpdateFrame:
		if p.credit == nil {
			p.credit = map[uint32]int64{}
		}
		p.credit[head.StreamID] += int64(f.Increment)
	case *http2.MetaHeadersFrame:
		p.headers(f)
	case *http2.DataFrame:
		if call := p.calls[head.StreamID]; call != nil && call.Reply != nil {
			if p.data == nil {
				p.data = map[uint32][]byte{}
			}
			p.data[head.StreamID] = append(p.data[head.StreamID], f.Data()...)
		}
		if f.StreamEnded() {
			p.end(head.StreamID, "DATA that ends the stream")
		}
	case *http2.RSTStreamFrame:
		// grpc-go resets the stream of a client that goes on after the trailers.
		if f.ErrCode != http2.ErrCodeNo {
			p.end(head.StreamID, "reset "+f.ErrCode.String())
		}
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			count(&p.seen.GoAways, "GOAWAY "+f.ErrCode.String(), 1)
		}
	}
}

func (p *Peer) headers(f *http2.MetaHeadersFrame) {
	if !f.StreamEnded() {
		p.seen.Begun++
		return
	}
	said := "no status"
	for _, field := range f.Fields {
		if field.Name == "grpc-status" {
			said = "status " + field.Value
		}
	}
	p.end(f.StreamID, said)
}

// end needs the lock.
func (p *Peer) end(id uint32, how string) {
	call, data := p.calls[id], p.data[id]
	delete(p.calls, id)
	delete(p.data, id)
	if how != "status 0" {
		count(&p.seen.Ends, how, 1)
		return
	}
	p.seen.Answers++
	if call != nil && call.Reply != nil {
		whole := Call{Message: call.Reply}
		if !bytes.Equal(data, whole.message()) {
			p.seen.Wrong++
			count(&p.seen.Ends, fmt.Sprintf("WRONG REPLY of %d bytes", len(data)), 1)
		}
	}
}
