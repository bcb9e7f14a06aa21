package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"hotpath.dev/go-shim/internal/quiet"
)

// longEnough bounds waits that end as soon as something happens.
const longEnough = time.Minute

// peer is the other end of a connection, frame by frame, written with x/net's framer.
type peer struct {
	*http2.Framer
	t       testing.TB
	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// connect returns a connection and its peer, which has read the client's preface.
func connect(t testing.TB, change ...func(*Config)) (*Conn, *peer) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{StreamWindow: 1 << 20, ConnWindow: 4 << 20, PingEvery: time.Hour, PingTimeout: time.Hour, Authority: "localhost"}
	for _, c := range change {
		c(&cfg)
	}
	c := New(quiet.Wrap(dialled), cfg)
	p := &peer{Framer: http2.NewFramer(accepted, accepted), t: t, conn: accepted}
	p.encoder = hpack.NewEncoder(&p.block)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	t.Cleanup(func() { c.Close(); _ = accepted.Close() })
	_ = accepted.SetDeadline(time.Now().Add(longEnough))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(accepted, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Fatalf("preface %q, %v", preface, err)
	}
	settings := next[*http2.SettingsFrame](p)
	if v, _ := settings.Value(http2.SettingInitialWindowSize); v != cfg.StreamWindow {
		t.Errorf("window %d", v)
	}
	if v, _ := settings.Value(http2.SettingEnablePush); v != 0 {
		t.Error("wants pushes")
	}
	if f := next[*http2.WindowUpdateFrame](p); f.StreamID != 0 || f.Increment != cfg.ConnWindow-firstWindow {
		t.Errorf("got %v", f)
	}
	return c, p
}

// next reads a frame, which must be of this kind.
func next[F http2.Frame](p *peer) F {
	p.t.Helper()
	frame, err := p.ReadFrame()
	if err != nil {
		p.t.Fatalf("want %T: %v", *new(F), err)
	}
	f, ok := frame.(F)
	if !ok {
		p.t.Fatalf("want %T, got %v", *new(F), frame)
	}
	return f
}

func (p *peer) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// headers writes a header block, of pairs of name and value.
func (p *peer) headers(stream uint32, ends bool, pairs ...string) {
	p.t.Helper()
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		p.do(p.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}))
	}
	p.do(p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: ends}))
}

func (p *peer) respond(stream uint32) {
	p.t.Helper()
	p.headers(stream, false, ":status", "200", "content-type", "application/grpc")
}

func prefixed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// gathered returns the bytes of the next DATA frames, of so many bytes together.
func (p *peer) gathered(n int) []byte {
	p.t.Helper()
	var all []byte
	for len(all) < n {
		all = append(all, next[*http2.DataFrame](p).Data()...)
	}
	return all
}

// scripted is a Handler that sends what it is given.
type scripted struct {
	send     chan []byte
	messages chan string
	ended    chan error
	refuse   error
}

func newScripted() *scripted {
	return &scripted{send: make(chan []byte, 100), messages: make(chan string, 100), ended: make(chan error, 10)}
}

func (s *scripted) Next() ([]byte, bool, error) {
	select {
	case message := <-s.send:
		return message, false, nil
	default:
		return nil, false, nil
	}
}

func (s *scripted) Message(message []byte) error {
	s.messages <- string(message)
	return s.refuse
}

func (s *scripted) Ended(err error) { s.ended <- err }

func open(t testing.TB, c *Conn, most int) (*scripted, *Stream) {
	t.Helper()
	s := newScripted()
	stream, err := c.Open(Call{Method: "/a.B/C", MaxMessageBytes: most, Handler: s})
	if err != nil {
		t.Fatal(err)
	}
	return s, stream
}

func await[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(longEnough):
		t.Fatalf("no %T came", v)
	}
	return v
}
