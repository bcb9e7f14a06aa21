package splice

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// clientModel is a client that counts every byte.
type clientModel struct {
	m       *model
	out     bytes.Buffer
	framer  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	streams map[uint32]*clientStream
	order   []*clientStream
	nextID  uint32

	window, receives    int64 // of the connection: what may be sent, and what may come
	initial, initialOwn int64 // of streams, as the server's SETTINGS and the client's say
	uncredited          int
	unacked             [][]http2.Setting
	update              bool   // the next block must begin with a change of the table's size
	table, limit        uint32 // the table's size, and what it may be
	pings, pongs        int
	pinged              map[byte]bool
	block               []byte
	blockOf             http2.FrameHeader
	calls, hot          int
	closing             bool
	acked               bool
}

type clientStream struct {
	id             uint32
	method         string
	q              []byte
	rest           []byte // of the request
	window         int64
	receives       int64
	uncredited     int
	headers        bool
	got            []byte
	fields         map[string]string
	left           bool // reset by the client
	refused        bool // by the server
	ended, sentEnd bool
}

func newClientModel(m *model) *clientModel {
	c := &clientModel{m: m, streams: map[uint32]*clientStream{}, nextID: 1, pinged: map[byte]bool{}, window: 65535, receives: 65535, initial: 65535,
		initialOwn: 65535, decoder: hpack.NewDecoder(4096, nil), table: 4096}
	c.framer = http2.NewFramer(&c.out, nil)
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.out.WriteString(http2.ClientPreface)
	c.settings()
	return c
}

func (c *clientModel) must(err error) {
	if err != nil {
		c.m.fail("the model's own frame: %v", err)
	}
}

func (c *clientModel) settings(s ...http2.Setting) {
	c.must(c.framer.WriteSettings(s...))
	c.unacked = append(c.unacked, s)
}

func (c *clientModel) open() (all []*clientStream) {
	for _, s := range c.order {
		if !s.ended && !s.left {
			all = append(all, s)
		}
	}
	return all
}

// call begins a call.
func (c *clientModel) call() {
	if len(c.open()) >= 12 {
		return
	}
	random := c.m.random
	s := &clientStream{id: c.nextID, window: c.initial, receives: c.initialOwn, fields: map[string]string{}}
	c.nextID += 2 + 2*uint32(random.IntN(3))
	s.method = []string{hotMethod, hotMethod, hotMethod, coldMethod}[random.IntN(4)]
	replyLen, fill := random.IntN(100), random.IntN(100)
	switch random.IntN(8) {
	case 0:
		replyLen = random.IntN(100_000)
	case 1:
		fill = random.IntN(40_000)
	}
	s.q = question([]byte{doAnswer, doAnswer, doRefuse, doLocal}[random.IntN(4)], s.id, replyLen, fill)
	message := encode(s.q)
	s.rest = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	c.encoded.Reset()
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", s.method}, {":authority", "door"}, {"te", "trailers"},
		{"content-type", "application/grpc"}, {"user-agent", "model"}, {"grpc-timeout", fmt.Sprintf("%dm", 1000+random.IntN(1000))}} {
		c.must(c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	block := c.encoded.Bytes()
	cut := len(block)
	if random.IntN(4) == 0 {
		cut = random.IntN(len(block))
	}
	p := http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block[:cut], EndHeaders: cut == len(block), PadLength: uint8(random.IntN(2) * random.IntN(20))}
	if random.IntN(4) == 0 {
		p.Priority = http2.PriorityParam{StreamDep: 1000, Weight: 5}
	}
	c.must(c.framer.WriteHeaders(p))
	if cut < len(block) {
		c.must(c.framer.WriteContinuation(s.id, true, block[cut:]))
	}
	c.streams[s.id] = s
	c.order = append(c.order, s)
	c.calls++
}

// send sends a bit of a request.
func (c *clientModel) send() {
	open := c.open()
	if len(open) == 0 {
		return
	}
	c.sendOf(open[c.m.random.IntN(len(open))], c.m.piece(20_000))
}

func (c *clientModel) sendOf(s *clientStream, most int) {
	if s.sentEnd {
		return
	}
	var pad []byte
	if c.m.random.IntN(10) == 0 && !c.closing {
		pad = make([]byte, c.m.random.IntN(10))
	}
	room := int(min(16384, c.window, s.window))
	overhead := 0
	if pad != nil {
		overhead = 1 + len(pad)
	}
	n := min(most, len(s.rest), room-overhead)
	if n < 0 || n == 0 && most > 0 && len(s.rest) > 0 {
		return
	}
	s.sentEnd = n == len(s.rest)
	c.must(c.framer.WriteDataPadded(s.id, s.sentEnd, s.rest[:n], pad))
	s.rest = s.rest[n:]
	c.window -= int64(n + overhead)
	s.window -= int64(n + overhead)
}

func (c *clientModel) sendAll() {
	for _, s := range c.open() {
		c.sendOf(s, 1<<20)
	}
}

// credit lets the server send more.
func (c *clientModel) credit() {
	if n := c.m.piece(c.uncredited); n > 0 {
		c.grant(nil, n)
	}
	if open := c.open(); len(open) > 0 {
		s := open[c.m.random.IntN(len(open))]
		if n := c.m.piece(s.uncredited); n > 0 {
			c.grant(s, n)
		}
	}
}

func (c *clientModel) grant(s *clientStream, n int) {
	if s == nil {
		c.uncredited -= n
		c.receives += int64(n)
		c.must(c.framer.WriteWindowUpdate(0, uint32(n)))
		return
	}
	s.uncredited -= n
	s.receives += int64(n)
	c.must(c.framer.WriteWindowUpdate(s.id, uint32(n)))
}

func (c *clientModel) creditAll() {
	if c.uncredited > 0 {
		c.grant(nil, c.uncredited)
	}
	for _, s := range c.open() {
		if s.uncredited > 0 {
			c.grant(s, s.uncredited)
		}
	}
}

// disturb does what may happen at any time.
func (c *clientModel) disturb() {
	random := c.m.random
	switch random.IntN(8) {
	case 0:
		if open := c.open(); len(open) > 0 {
			s := open[random.IntN(len(open))]
			s.left = true
			c.must(c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel))
		}
	case 1:
		c.pings++
		c.pinged[byte(c.pings)] = true
		c.must(c.framer.WritePing(false, [8]byte{byte(c.pings)}))
	case 2, 3:
		if len(c.unacked) < 3 {
			c.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(random.IntN(4) * random.IntN(40_000))})
		}
	case 4:
		if len(c.unacked) < 3 && random.IntN(3) == 0 {
			c.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: []uint32{0, 50, 104, 200, 4096, 65536}[random.IntN(6)]})
		}
	case 5:
		c.must(c.framer.WritePriority(c.nextID+100, http2.PriorityParam{StreamDep: 3, Weight: 1}))
	case 6:
		c.must(c.framer.WriteRawFrame(0x77, 0, 0, []byte("unknown")))
	case 7:
		// Late frames for streams that are over.
		for _, s := range c.order {
			if s.ended && random.IntN(20) == 0 {
				c.must(c.framer.WriteWindowUpdate(s.id, 5))
				c.must(c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel))
				return
			}
		}
	}
}

func (c *clientModel) idle() bool {
	return len(c.open()) == 0 && len(c.unacked) == 0 && c.pings == c.pongs
}

// receive takes whole frames of the door.
func (c *clientModel) receive(b []byte) {
	if rest := parse(b, c.frame); len(rest) > 0 {
		c.m.fail("the door gave out %d bytes that are no whole frame", len(rest))
	}
}

func (c *clientModel) frame(f http2.FrameHeader, payload []byte) {
	if c.block != nil && f.Type != http2.FrameContinuation {
		c.m.fail("a %v frame within a header block", f.Type)
	}
	switch f.Type {
	case http2.FrameHeaders, http2.FrameContinuation:
		if f.Type == http2.FrameHeaders {
			c.block, c.blockOf = []byte{}, f
		}
		if f.StreamID != c.blockOf.StreamID || c.block == nil {
			c.m.fail("CONTINUATION of stream %d", f.StreamID)
		}
		c.block = append(c.block, payload...)
		if f.Flags.Has(http2.FlagHeadersEndHeaders) {
			block := c.block
			c.block = nil
			c.fields(c.blockOf, block)
		}
	case http2.FrameData:
		c.data(f, payload)
	case http2.FrameRSTStream:
		c.reset(f.StreamID, http2.ErrCode(binary.BigEndian.Uint32(payload)))
	case http2.FrameSettings:
		c.gotSettings(f, payload)
	case http2.FramePing:
		c.pongs++
		waiting := c.pinged[payload[0]]
		delete(c.pinged, payload[0])
		if !f.Flags.Has(http2.FlagPingAck) || !waiting {
			c.m.fail("PING %v %v, %d sent, %d answered", f, payload, c.pings, c.pongs)
		}
	case http2.FrameWindowUpdate:
		n := int64(binary.BigEndian.Uint32(payload))
		if n == 0 {
			c.m.fail("a WINDOW_UPDATE of nothing")
		}
		if f.StreamID == 0 {
			c.window += n
		} else if s := c.streams[f.StreamID]; s != nil {
			s.window += n
		}
	default:
		c.m.fail("frame %v", f)
	}
}

func (c *clientModel) gotSettings(f http2.FrameHeader, payload []byte) {
	if !f.Flags.Has(http2.FlagSettingsAck) {
		for p := payload; len(p) > 0; p = p[6:] {
			if http2.SettingID(binary.BigEndian.Uint16(p)) == http2.SettingInitialWindowSize {
				v := int64(binary.BigEndian.Uint32(p[2:]))
				for _, s := range c.streams {
					s.window += v - c.initial
				}
				c.initial = v
			}
		}
		c.must(c.framer.WriteSettingsAck())
		return
	}
	if len(c.unacked) == 0 {
		c.m.fail("an acknowledgement of no SETTINGS")
	}
	c.acked = true
	for _, s := range c.unacked[0] {
		switch s.ID {
		case http2.SettingInitialWindowSize:
			for _, stream := range c.streams {
				stream.receives += int64(s.Val) - c.initialOwn
			}
			c.initialOwn = int64(s.Val)
		case http2.SettingHeaderTableSize:
			if c.limit = s.Val; s.Val < c.table {
				c.update = true
			}
			c.decoder.SetAllowedMaxDynamicTableSize(s.Val)
		}
	}
	c.unacked = c.unacked[1:]
}

func (c *clientModel) fields(f http2.FrameHeader, block []byte) {
	if c.update && (len(block) == 0 || block[0]&0xe0 != 0x20) {
		c.m.fail("a block does not begin with the size of the table, which the client made smaller")
	}
	for b := block; len(b) > 0 && b[0]&0xe0 == 0x20; {
		size := uint32(b[0] & 31)
		if b = b[1:]; size == 31 {
			n, used := binary.Uvarint(b)
			size, b = size+uint32(n), b[used:]
		}
		c.table = size
		c.update = c.update && size > c.limit
	}
	if c.update {
		c.m.fail("the table stays larger than the client wants")
	}
	fields, err := c.decoder.DecodeFull(block)
	if err != nil {
		c.m.fail("header block % x: %v", block, err)
	}
	s := c.streams[f.StreamID]
	if s == nil || s.ended {
		c.m.fail("HEADERS for stream %d, which is not open", f.StreamID)
	}
	if !s.headers && fields[0] != (hpack.HeaderField{Name: ":status", Value: "200"}) {
		c.m.fail("headers %v", fields)
	}
	for _, field := range fields {
		if _, twice := s.fields[field.Name]; twice {
			c.m.fail("stream %d: %s twice", s.id, field.Name)
		}
		s.fields[field.Name] = field.Value
	}
	s.headers = true
	if f.Flags.Has(http2.FlagHeadersEndStream) {
		c.end(s)
	}
}

func (c *clientModel) data(f http2.FrameHeader, payload []byte) {
	s := c.streams[f.StreamID]
	if s == nil || s.ended || !s.headers {
		c.m.fail("DATA for stream %d, which is not open", f.StreamID)
	}
	n := int64(len(payload))
	if n > c.receives || n > s.receives || n > 16384 {
		c.m.fail("%d bytes of DATA on stream %d, with windows of %d and %d", n, s.id, c.receives, s.receives)
	}
	c.receives -= n
	s.receives -= n
	c.uncredited += int(n)
	s.uncredited += int(n)
	s.got = append(s.got, payload...)
	if f.Flags.Has(http2.FlagDataEndStream) {
		c.end(s)
	}
}

func (c *clientModel) reset(id uint32, code http2.ErrCode) {
	s := c.streams[id]
	if s == nil {
		c.m.fail("RST_STREAM of stream %d, which is not open", id)
	}
	if !s.ended && !s.left && code != http2.ErrCodeRefusedStream {
		c.m.fail("stream %d was reset: %v", id, code)
	}
	s.refused = s.refused || !s.ended
	s.ended = true
	s.sentEnd = true
}

func (c *clientModel) end(s *clientStream) {
	s.ended = true
	if s.left {
		return
	}
	prefixed := func(by string) []byte {
		b := encode(reply(by, s.q))
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
	}
	switch {
	case s.fields["content-type"] != "application/grpc":
		c.m.fail("stream %d: %v", s.id, s.fields)
	case s.fields["grpc-status"] == "10" && s.fields["grpc-message"] == "early":
	case s.q[0] == doRefuse && s.fields["grpc-status"] == "5":
		if s.fields["grpc-message"] != "no such thing: 100%25 %0A %C3%A9" || len(s.got) > 0 {
			c.m.fail("stream %d: %v", s.id, s.fields)
		}
		c.hot++
	case s.fields["grpc-status"] != "0":
		c.m.fail("stream %d: %v", s.id, s.fields)
	case bytes.Equal(s.got, prefixed("hot")) && s.method == hotMethod && s.q[0] == doAnswer:
		c.hot++
	case !bytes.Equal(s.got, prefixed("go")):
		c.m.fail("stream %d: a wrong answer of %d bytes", s.id, len(s.got))
	}
}

func (c *clientModel) check() {
	for _, s := range c.order {
		if !s.ended && !s.left {
			c.m.fail("%c on stream %d has no answer; %d bytes of the request to send with windows of %d and %d, %d bytes of the reply",
				s.q[0], s.id, len(s.rest), c.window, s.window, len(s.got))
		}
	}
	if c.pings != c.pongs || len(c.unacked) != 0 {
		c.m.fail("%d PINGs, %d answers; %d SETTINGS not acknowledged", c.pings, c.pongs, len(c.unacked))
	}
}
