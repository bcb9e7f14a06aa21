package splice

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serverModel is grpc-go as the door sees it: it checks what grpc-go checks, and more.
type serverModel struct {
	m       *model
	out     bytes.Buffer
	framer  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	in      []byte
	began   bool // the preface has come
	streams map[uint32]*serverStream
	last    uint32
	window  int64 // what may be sent, as grpc-go believes
	initial int64
	own     int64    // the window of streams that it gives
	unacked int      // bytes that it has yet to credit
	pending [][]byte // SETTINGS to acknowledge
	settled bool     // it has acknowledged the first
}

type serverStream struct {
	id               uint32
	got              []byte
	ended, replied   bool
	headers          bool
	out              []byte
	window, receives int64
	uncredited       int
}

func newServerModel(m *model) *serverModel {
	s := &serverModel{m: m, streams: map[uint32]*serverStream{}, window: 65535, initial: 65535, own: 65535, decoder: hpack.NewDecoder(4096, nil)}
	s.framer = http2.NewFramer(&s.out, nil)
	s.encoder = hpack.NewEncoder(&s.encoded)
	s.must(s.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16384}))
	return s
}

func (s *serverModel) must(err error) {
	if err != nil {
		s.m.fail("the model's own frame: %v", err)
	}
}

// moving is true while frames that change its window are on their way.
func (s *serverModel) moving() bool {
	return s.out.Len() > 0 || len(s.in) > 0 || s.m.core.toServer != nil || len(s.m.core.partial) > 0
}

func (s *serverModel) idle() bool { return len(s.streams) == 0 && len(s.pending) == 0 }

func (s *serverModel) receive(b []byte) {
	s.in = append(s.in, b...)
	if !s.began {
		if len(s.in) < len(http2.ClientPreface) {
			return
		}
		if string(s.in[:len(http2.ClientPreface)]) != http2.ClientPreface {
			s.m.fail("the preface is %q", s.in[:len(http2.ClientPreface)])
		}
		s.in, s.began = s.in[len(http2.ClientPreface):], true
	}
	s.in = append([]byte(nil), parse(s.in, s.frame)...)
}

func (s *serverModel) frame(f http2.FrameHeader, payload []byte) {
	switch f.Type {
	case http2.FrameHeaders:
		s.headersFrame(f, payload)
	case http2.FrameData:
		s.dataFrame(f, payload)
	case http2.FrameRSTStream:
		if f.StreamID > s.last || f.StreamID == 0 {
			s.m.fail("RST_STREAM of stream %d", f.StreamID)
		}
		delete(s.streams, f.StreamID)
	case http2.FrameSettings:
		if f.Flags.Has(http2.FlagSettingsAck) {
			return
		}
		s.pending = append(s.pending, slices.Clone(payload))
	case http2.FramePing:
		s.must(s.framer.WritePing(true, [8]byte(payload)))
	case http2.FrameWindowUpdate:
		n := int64(binary.BigEndian.Uint32(payload))
		if n == 0 {
			s.m.fail("a WINDOW_UPDATE of nothing")
		}
		if f.StreamID == 0 {
			s.window += n
		} else if stream := s.streams[f.StreamID]; stream != nil {
			stream.window += n
		}
	case http2.FramePriority, 0x77:
	default:
		s.m.fail("frame %v", f)
	}
}

func (s *serverModel) headersFrame(f http2.FrameHeader, payload []byte) {
	if f.StreamID%2 == 0 || f.StreamID <= s.last || !f.Flags.Has(http2.FlagHeadersEndHeaders) || f.Flags.Has(http2.FlagHeadersEndStream) {
		s.m.fail("HEADERS %v after stream %d", f, s.last)
	}
	s.last = f.StreamID
	if _, err := s.decoder.DecodeFull(payload); err != nil {
		s.m.fail("header block: %v", err)
	}
	s.streams[f.StreamID] = &serverStream{id: f.StreamID, window: s.initial, receives: s.own}
}

func (s *serverModel) dataFrame(f http2.FrameHeader, payload []byte) {
	s.unacked += len(payload)
	if s.unacked >= 65535/4 {
		s.creditAll()
	}
	stream := s.streams[f.StreamID]
	if stream == nil {
		return
	}
	if stream.receives -= int64(len(payload)); stream.receives < 0 || stream.ended {
		s.m.fail("DATA %v beyond the window by %d", f, -stream.receives)
	}
	stream.uncredited += len(payload)
	if f.Flags.Has(http2.FlagDataPadded) {
		payload = payload[1 : len(payload)-int(payload[0])]
	}
	stream.got = append(stream.got, payload...)
	stream.ended = f.Flags.Has(http2.FlagDataEndStream)
	if stream.ended {
		s.handle(stream)
	}
}

func (s *serverModel) creditAll() {
	if s.unacked > 0 {
		s.must(s.framer.WriteWindowUpdate(0, uint32(s.unacked)))
		s.unacked = 0
	}
}

// handle makes the reply to a whole request.
func (s *serverModel) handle(stream *serverStream) {
	if stream.replied {
		return
	}
	if len(stream.got) < 5 || int(binary.BigEndian.Uint32(stream.got[1:]))+5 != len(stream.got) {
		s.m.fail("a request of %d bytes", len(stream.got))
	}
	stream.replied = true
	q := decode(stream.got[5:])
	b := encode(reply("go", q))
	stream.out = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

// settle acknowledges SETTINGS.
func (s *serverModel) settle() {
	if len(s.pending) == 0 {
		return
	}
	for p := s.pending[0]; len(p) > 0; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(p)) {
		case http2.SettingInitialWindowSize:
			for _, stream := range s.streams {
				stream.window += int64(v) - s.initial
			}
			s.initial = int64(v)
		case http2.SettingHeaderTableSize:
			s.encoder.SetMaxDynamicTableSizeLimit(v)
		}
	}
	s.pending, s.settled = s.pending[1:], true
	s.must(s.framer.WriteSettingsAck())
	if s.m.random.IntN(5) == 0 && !s.m.client.closing { // as after grpc-go's estimate of the bandwidth
		s.own += int64(s.m.random.IntN(1000))
		for _, stream := range s.streams {
			stream.receives = stream.receives + 1000
		}
		s.must(s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(s.own)}))
	}
}

func (s *serverModel) fields(id uint32, end bool, fields ...string) {
	s.encoded.Reset()
	for i := 0; i < len(fields); i += 2 {
		s.must(s.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	block := s.encoded.Bytes()
	cut := len(block)
	if s.m.random.IntN(5) == 0 {
		cut = s.m.random.IntN(len(block))
	}
	s.must(s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:cut], EndStream: end, EndHeaders: cut == len(block)}))
	if cut < len(block) {
		s.must(s.framer.WriteContinuation(id, true, block[cut:]))
	}
}

// write goes on with the replies.
func (s *serverModel) write() {
	if !s.settled { // grpc-go writes no headers before it has
		s.settle()
	}
	ids := make([]uint32, 0, len(s.streams))
	for id := range s.streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		stream := s.streams[id]
		if stream.uncredited > 0 && s.m.random.IntN(2) == 0 {
			s.must(s.framer.WriteWindowUpdate(id, uint32(stream.uncredited)))
			stream.receives += int64(stream.uncredited)
			stream.uncredited = 0
		}
		if !stream.replied && !stream.ended && s.m.random.IntN(100) == 0 && len(stream.got) > 0 {
			s.fields(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "10", "grpc-message", "early")
			s.must(s.framer.WriteRSTStream(id, http2.ErrCodeNo))
			delete(s.streams, id)
			continue
		}
		if stream.replied {
			s.reply(stream)
		}
	}
}

func (s *serverModel) reply(stream *serverStream) {
	if !stream.headers {
		stream.headers = true
		s.fields(stream.id, false, ":status", "200", "content-type", "application/grpc")
	}
	n := s.m.piece(int(max(0, min(16384, s.window, stream.window, int64(len(stream.out))))))
	if n > 0 {
		s.must(s.framer.WriteData(stream.id, false, stream.out[:n]))
		stream.out = stream.out[n:]
		s.window -= int64(n)
		stream.window -= int64(n)
	}
	if len(stream.out) == 0 {
		s.fields(stream.id, true, "grpc-status", "0", "grpc-message", "")
		delete(s.streams, stream.id)
	}
}
