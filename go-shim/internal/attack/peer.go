package attack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Call is a unary call.
type Call struct {
	// Path is the full name of the method, with a slash before it.
	Path string
	// Message is the request, and Reply the expected reply; nil means that any will do.
	Message, Reply []byte
}

// Peer is one connection, on which anything can be said.
type Peer struct {
	conn net.Conn
	w    *bufio.Writer
	// Frames writes frames, also illegal ones. They leave with Flush, or when there are many.
	Frames  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	broken  bool

	// changed has a value after anything in seen has changed.
	changed chan struct{}
	heard   chan struct{} // closed when the connection ends; nil if nobody listens
	mu      sync.Mutex
	seen    Outcome
	calls   map[uint32]*Call
	data    map[uint32][]byte
	credit  map[uint32]int64
	closed  bool
}

// bufferBytes is how much is sent at once.
const bufferBytes = 4 << 10

// Dial connects. from is the local address, or empty.
func Dial(addr, from string) (*Peer, error) {
	dialer := net.Dialer{Timeout: 20 * time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return newPeer(conn), nil
}

func newPeer(conn net.Conn) *Peer {
	p := &Peer{conn: conn, changed: make(chan struct{}, 1)}
	p.seen.Peers = 1
	p.w = bufio.NewWriterSize(counting{p}, bufferBytes)
	p.Frames = http2.NewFramer(p.w, nil)
	p.Frames.AllowIllegalWrites = true
	p.encoder = hpack.NewEncoder(&p.encoded)
	return p
}

// counting counts what is sent.
type counting struct{ p *Peer }

func (c counting) Write(b []byte) (int, error) {
	// A server may stop reading. Then the attack is over.
	_ = c.p.conn.SetWriteDeadline(time.Now().Add(blockedAfter))
	n, err := c.p.conn.Write(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.seen.Sent += int64(n)
	return n, err
}

// blockedAfter is when a peer gives up to send to a server that takes nothing.
const blockedAfter = 2 * time.Second

// Greet sends the preface and SETTINGS.
func (p *Peer) Greet(settings ...http2.Setting) {
	_, _ = p.w.WriteString(http2.ClientPreface)
	_ = p.Frames.WriteSettings(settings...)
	p.Flush()
}

// Flush sends what was written, and returns false if the server takes no more.
func (p *Peer) Flush() bool {
	if !p.broken {
		p.broken = p.w.Flush() != nil
	}
	return !p.broken
}

// Head begins a stream. more are names and values of further fields.
func (p *Peer) Head(id uint32, call *Call, end bool, more ...string) {
	_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.Block(call, more...), EndHeaders: true, EndStream: end})
}

// Block encodes the fields of a call. It is valid until the next one.
func (p *Peer) Block(call *Call, more ...string) []byte {
	p.encoded.Reset()
	fields := append([]string{":method", "POST", ":scheme", "http", ":path", call.Path, ":authority", "door",
		"content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i+1 < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.encoded.Bytes()
}

// message is the call's message with its prefix.
func (c *Call) message() []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(c.Message))), c.Message...)
}

// Ask makes a whole call, whose reply is checked.
func (p *Peer) Ask(id uint32, call *Call) {
	p.Expect(id, call)
	p.Head(id, call, false)
	_ = p.Frames.WriteData(id, true, call.message())
}

// Expect says which reply a stream is to get.
func (p *Peer) Expect(id uint32, call *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		p.calls = map[uint32]*Call{}
	}
	p.calls[id] = call
}

// Await waits until good returns true of what was heard. It returns false if the connection ends, or takes too long.
func (p *Peer) Await(atMost time.Duration, good func(*Outcome) bool) bool {
	late := time.NewTimer(atMost)
	defer late.Stop()
	for {
		p.mu.Lock()
		is, over := good(&p.seen), p.closed
		p.mu.Unlock()
		if is || over {
			return is
		}
		select {
		case <-p.changed:
		case <-late.C:
			return false
		}
	}
}

// patience is how long a peer waits for what must come. It is reached only if something is stuck, and is long because the
// gigabytes of a bomb take a busy machine a while.
const patience = 3 * time.Minute

// Must is Await for what the server owes: if it does not come, and the connection does not end either, the peer is stuck.
func (p *Peer) Must(good func(*Outcome) bool) {
	p.Flush()
	if p.Await(patience, good) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.seen.Stuck++
	}
}

// Settle waits until the server has read all that was said.
func (p *Peer) Settle() {
	p.mu.Lock()
	before := p.seen.Pongs
	p.mu.Unlock()
	_ = p.Frames.WritePing(false, [8]byte{'t', 'h', 'e', ' ', 'e', 'n', 'd', '.'})
	p.Must(func(o *Outcome) bool { return o.Pongs > before })
}

// Credit is how much the server has opened the window of a stream, or of the connection (0).
func (p *Peer) Credit(id uint32) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.credit[id]
}

// Seen is what was heard so far.
func (p *Peer) Seen() Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	var copied Outcome
	copied.add(&p.seen)
	return copied
}

// Close ends the connection.
func (p *Peer) Close() Outcome {
	seen := p.Seen()
	_ = p.conn.Close()
	if p.heard != nil {
		<-p.heard
	}
	return seen
}
