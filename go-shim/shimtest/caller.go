package shimtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// Caller is a gRPC client that can misbehave. On its one connection it sends and accepts exactly what it is told to.
type Caller struct {
	// Outcomes receives how each call ended, in the order of the ends. Settings receives the server's settings. Both
	// are closed when the connection ends.
	Outcomes chan Outcome
	Settings chan map[http2.SettingID]uint32

	conn    net.Conn
	mu      sync.Mutex
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
}

// Outcome is the end of one call: a status, or a reset if Reset is not 0.
type Outcome struct {
	Stream uint32
	Code   codes.Code
	Reset  http2.ErrCode
	// Bytes is the number of bytes of the reply that came before the end.
	Bytes int
}

// manyOutcomes is more than any test waits for.
const manyOutcomes = 1 << 16

// Dial connects. The caller accepts window bytes of each reply until Take is called.
func Dial(network, address string, window uint32) (*Caller, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	c := &Caller{
		Outcomes: make(chan Outcome, manyOutcomes), Settings: make(chan map[http2.SettingID]uint32, 16),
		conn: conn, framer: http2.NewFramer(conn, conn), next: 1,
	}
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return nil, err
	}
	go c.listen()
	return c, nil
}

// Close ends the connection.
func (c *Caller) Close() error { return c.conn.Close() }

// Begin starts a call and sends no message. It returns the number of its stream. more are names and values of further
// fields.
func (c *Caller) Begin(method string, more ...string) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block.Reset()
	fields := [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"}}
	for i := 0; i+1 < len(more); i += 2 {
		fields = append(fields, [2]string{more[i], more[i+1]})
	}
	for _, field := range fields {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return 0, err
		}
	}
	stream := c.next
	c.next += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true})
}

// Send sends the only message of a call.
func (c *Caller) Send(stream uint32, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteData(stream, true, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...))
}

// Call is Begin, followed by Send.
func (c *Caller) Call(method string, message []byte) (uint32, error) {
	stream, err := c.Begin(method)
	if err != nil {
		return 0, err
	}
	return stream, c.Send(stream, message)
}

// Take accepts this many more bytes: of one call, or of all calls together if stream is 0.
func (c *Caller) Take(stream, bytes uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteWindowUpdate(stream, bytes)
}

// Reset cancels a call.
func (c *Caller) Reset(stream uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
}

func (c *Caller) listen() {
	defer close(c.Outcomes)
	defer close(c.Settings)
	taken := make(map[uint32]int)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		stream := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			err = c.settings(frame)
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.mu.Lock()
				err = c.framer.WritePing(true, frame.Data)
				c.mu.Unlock()
			}
		case *http2.DataFrame:
			taken[stream] += len(frame.Data())
		case *http2.RSTStreamFrame:
			// A reset without an error comes only after a status, which is reported already.
			if frame.ErrCode != http2.ErrCodeNo {
				c.Outcomes <- Outcome{Stream: stream, Reset: frame.ErrCode, Bytes: taken[stream]}
			}
		case *http2.MetaHeadersFrame:
			for _, field := range frame.RegularFields() {
				if code, failed := strconv.Atoi(field.Value); field.Name == "grpc-status" && failed == nil {
					c.Outcomes <- Outcome{Stream: stream, Code: codes.Code(code), Bytes: taken[stream]}
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *Caller) settings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	said := make(map[http2.SettingID]uint32)
	_ = frame.ForeachSetting(func(s http2.Setting) error {
		said[s.ID] = s.Val
		return nil
	})
	select {
	case c.Settings <- said:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteSettingsAck()
}
