package splice

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// oracle is a grpc-go server without a door, and one with: whatever a client says, it gets the same answers.
type oracle struct{ stock, spliced *rig }

func newOracle(t testing.TB) *oracle {
	o := func(stock bool) *rig {
		// Whether a PING counts as one too many depends on when the replies before it left.
		return newRig(t, rigOptions{stock: stock, limits: Limits{Continuations: 1 << 20}, server: []grpc.ServerOption{grpc.MaxConcurrentStreams(20), grpc.MaxHeaderListSize(4000),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 1, PermitWithoutStream: true})}})
	}
	both := &oracle{o(true), o(false)}
	both.spliced.policy.asGo = true
	return both
}

// outcome is what a client got.
type outcome struct {
	streams map[uint32]string
	goAway  string
	closed  bool
	stuck   bool
	log     []string
}

// script is what a client says.
type script struct {
	frames  []byte
	streams []uint32        // that it opened, and grpc-go will end
	vague   map[uint32]bool // what these get depends on who is faster
	cuts    uint64
}

func (o *oracle) compare(t *testing.T, s *script) {
	t.Helper()
	want := talk(t, o.stock.addr, s, false)
	got := talk(t, o.spliced.addr, s, want.closed)
	// grpc-go's GOAWAY is lost if another error follows quickly.
	sameGoAway := want.goAway == got.goAway || want.closed && (want.goAway == "" || got.goAway == "")
	if want.closed != got.closed || want.stuck != got.stuck || !sameGoAway {
		t.Errorf("stock: closed %v, stuck %v, %q; spliced: closed %v, stuck %v, %q", want.closed, want.stuck, want.goAway, got.closed, got.stuck, got.goAway)
	}
	for id, w := range want.streams {
		if g, ok := got.streams[id]; g != w && !s.vague[id] && (ok || !want.closed) {
			t.Errorf("stream %d\nstock:   %s\nspliced: %s", id, w, g)
		}
	}
	for id, g := range got.streams {
		if _, ok := want.streams[id]; !ok && !s.vague[id] && !want.closed {
			t.Errorf("stream %d\nstock:   nothing\nspliced: %s", id, g)
		}
	}
}

// talk says it all in fragments, and listens until every stream has ended or the connection has. If closes, the connection
// will end: maybe after the last answer, because the door answers PINGs before grpc-go has read what comes before them.
func talk(t *testing.T, addr string, s *script, closes bool) outcome {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	l := newListener(conn)
	random := rand.New(rand.NewPCG(s.cuts, 0))
	var hello bytes.Buffer
	hello.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&hello, nil)
	_ = framer.WriteSettings()
	_, _ = conn.Write(hello.Bytes())
	for !l.acked && l.next() {
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for (closes || !l.done(s)) && l.next() {
		}
	}()
	for rest := s.frames; len(rest) > 0; {
		n := len(rest)
		if s.cuts > 0 {
			n = min(n, 1+random.IntN(1+random.IntN(n)))
		}
		if _, err := conn.Write(rest[:n]); err != nil {
			break
		}
		rest = rest[n:]
	}
	<-heard
	return l.outcome
}

// listener reads frames.
type listener struct {
	outcome
	framer  *http2.Framer
	decoder *hpack.Decoder
	fields  map[uint32][]string
	data    map[uint32][]byte
	block   []byte
	acked   bool
	pong    bool
}

func newListener(conn io.Reader) *listener {
	return &listener{outcome: outcome{streams: map[uint32]string{}}, framer: http2.NewFramer(nil, conn), decoder: hpack.NewDecoder(4096, nil),
		fields: map[uint32][]string{}, data: map[uint32][]byte{}}
}

func (l *listener) done(s *script) bool {
	for _, id := range s.streams {
		if _, ok := l.streams[id]; !ok && !s.vague[id] {
			return false
		}
	}
	return l.pong
}

// next reads a frame, and returns false if there is no more.
func (l *listener) next() bool {
	frame, err := l.framer.ReadFrame()
	if err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			l.stuck = true
		}
		l.closed = true
		return false
	}
	id := frame.Header().StreamID
	l.log = append(l.log, frame.Header().String())
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		l.acked = l.acked || f.IsAck()
	case *http2.PingFrame:
		l.pong = l.pong || f.IsAck() && f.Data == [8]byte{'e', 'n', 'd'}
	case *http2.HeadersFrame:
		l.block = append([]byte(nil), f.HeaderBlockFragment()...)
		l.headers(id, f.HeadersEnded(), f.StreamEnded())
	case *http2.ContinuationFrame:
		l.block = append(l.block, f.HeaderBlockFragment()...)
		l.headers(id, f.HeadersEnded(), true)
	case *http2.DataFrame:
		l.data[id] = append(l.data[id], f.Data()...)
	case *http2.RSTStreamFrame:
		if l.streams[id] == "" {
			l.streams[id] = "reset: " + f.ErrCode.String()
		}
	case *http2.GoAwayFrame:
		l.goAway = f.ErrCode.String() // the last stream depends on who is faster
	}
	return true
}

func (l *listener) headers(id uint32, whole, last bool) {
	if !whole {
		return
	}
	fields, err := l.decoder.DecodeFull(l.block)
	if err != nil {
		l.streams[id] = "broken header block: " + err.Error()
	}
	for _, f := range fields {
		if f.Name != "grpc-message" || f.Value != "" { // which means the same as none
			l.fields[id] = append(l.fields[id], f.Name+"="+f.Value)
		}
	}
	if last {
		slices.Sort(l.fields[id])
		l.streams[id] = fmt.Sprintf("%s; %d bytes %.200x", strings.Join(l.fields[id], ", "), len(l.data[id]), l.data[id])
	}
}

// reader turns a fuzzer's bytes into choices.
type reader struct{ b []byte }

func (r *reader) n(limit int) int {
	if len(r.b) == 0 {
		return 0
	}
	v := int(r.b[0])
	r.b = r.b[1:]
	return v % limit
}

// writer writes a script.
type writer struct {
	reader
	out     bytes.Buffer
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	s       script
	next    uint32
	sent    map[uint32]bool // streams that the client has ended
	whole   bool            // no CONTINUATION: grpc-go ends the connection if one follows an invalid field
	valid   []uint32        // streams with valid fields; grpc-go would let the ids of others be used again
}

// newScript makes a script of a fuzzer's bytes: frames of all kinds, most of them sensible.
func newScript(b []byte) *script {
	w := &writer{reader: reader{b}, next: 1, sent: map[uint32]bool{}, s: script{vague: map[uint32]bool{}}}
	w.framer = http2.NewFramer(&w.out, nil)
	w.framer.AllowIllegalWrites = true
	w.encoder = hpack.NewEncoder(&w.block)
	w.s.cuts = uint64(w.n(4))
	for steps := 0; len(w.b) > 0 && steps < 60; steps++ {
		w.step()
	}
	_ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
	for _, id := range w.s.streams {
		if !w.sent[id] {
			_ = w.framer.WriteData(id, true, nil)
		}
	}
	_ = w.framer.WritePing(false, [8]byte{'e', 'n', 'd'})
	w.s.frames = w.out.Bytes()
	return &w.s
}

func (w *writer) pick() uint32 {
	if len(w.s.streams) == 0 {
		return 1
	}
	return w.s.streams[w.n(len(w.s.streams))]
}

func (w *writer) step() {
	switch op := w.n(16); op {
	case 0, 1, 2, 3:
		w.call(op < 3)
	case 4, 5:
		id := w.pick()
		w.message(id, w.n(4) > 0)
	case 6:
		id := w.pick()
		w.s.vague[id], w.sent[id] = true, true
		_ = w.framer.WriteRSTStream(id, http2.ErrCodeCancel)
	case 7:
		if w.n(2) == 0 {
			_ = w.framer.WriteWindowUpdate(0, uint32(1+w.n(256)))
		} else {
			_ = w.framer.WriteWindowUpdate(w.pick(), uint32(1+w.n(256)))
		}
	case 8:
		_ = w.framer.WritePing(w.n(2) == 0, [8]byte{byte(w.n(256))})
	case 9:
		values := []uint32{0, 1, 100, 16384, 65535}
		id := http2.SettingID(1 + w.n(7))
		if id == http2.SettingMaxHeaderListSize {
			w.uncertain() // grpc-go obeys at once, also for calls that are under way
		}
		_ = w.framer.WriteSettings(http2.Setting{ID: id, Val: values[w.n(len(values))]})
	case 10:
		_ = w.framer.WritePriority(uint32(w.n(9)), http2.PriorityParam{StreamDep: uint32(w.n(9)), Weight: 7})
	case 11:
		w.odd()
	case 12:
		id := w.pick()
		_ = w.framer.WriteData(id, w.ends(id, w.n(3) == 0), w.take(w.n(40)))
	case 13:
		id := w.pick()
		_ = w.framer.WriteDataPadded(id, w.ends(id, w.n(2) == 0), w.take(w.n(40)), make([]byte, w.n(256)))
	case 14:
		_ = w.framer.WriteRawFrame(http2.FrameType(2+w.n(18)), http2.Flags(w.n(256)), uint32(w.n(12)), w.take(w.n(40)))
		w.uncertain()
	case 15:
		w.out.Write(w.take(w.n(12)))
		w.uncertain()
	}
}

// uncertain makes all streams vague: what the bytes mean to them is not known here.
func (w *writer) uncertain() {
	for _, id := range w.s.streams {
		w.s.vague[id] = true
	}
	for id := uint32(0); id < 12; id++ {
		w.s.vague[id] = true
	}
}

func (w *writer) ends(id uint32, end bool) bool {
	if w.sent[id] {
		w.s.vague[id] = true // DATA on a stream that has ended: maybe grpc-go has, too
		return false         // grpc-go 1.66 may crash when a stream ends twice
	}
	w.sent[id] = w.sent[id] || end
	return end
}

func (w *writer) take(n int) []byte {
	n = min(n, len(w.b))
	b := w.b[:n]
	w.b = w.b[n:]
	return b
}

// odd breaks a rule.
func (w *writer) odd() {
	switch w.n(9) {
	case 0:
		_ = w.framer.WriteWindowUpdate(0, 0)
	case 1:
		id := w.pick()
		w.s.vague[id] = true
		_ = w.framer.WriteWindowUpdate(id, 0)
	case 2:
		_ = w.framer.WriteContinuation(w.pick(), true, []byte{0x82})
	case 3:
		_ = w.framer.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, w.next, []byte{0xff, 0xff, 0xff})
	case 4:
		_ = w.framer.WriteRawFrame(http2.FrameSettings, 0, 0, []byte{1, 2, 3})
	case 5:
		_ = w.framer.WriteRawFrame(http2.FrameData, 0, 0, nil)
	case 6:
		_ = w.framer.WriteGoAway(3, http2.ErrCodeNo, nil)
	case 7:
		_ = w.framer.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, w.next, []byte{200, 0x82})
		w.s.vague[w.next] = true
		w.next += 2
	case 8:
		if len(w.valid) > 0 {
			id := w.valid[w.n(len(w.valid))]
			w.s.vague[id] = true
			w.fields(id, false, [][2]string{{"trailer", "x"}, {[]string{"more", "UPPER"}[w.n(2)], "y"}})
		}
	}
}

// call begins a call; a plain one is of a hot method, and says what such calls do.
func (w *writer) call(plain bool) {
	if len(w.s.streams) >= 18 {
		return
	}
	id := w.next
	w.next += 2 + 2*uint32(w.n(2))
	w.s.streams = append(w.s.streams, id)
	f := [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", hotMethod}, {":authority", "door"}, {"content-type", "application/grpc"},
		{"te", "trailers"}, {"user-agent", "fuzz"}, {"grpc-timeout", fmt.Sprintf("%dS", 20+w.n(3))}}
	if !plain {
		values := []string{"", "GET", "https", coldMethod, "/no.Such/Method", "a b", "application/grpc+proto", "application/json", "gzip", "identity",
			"1n", "0S", "x", "99999999H", "123456789S", "\x01", "trailers, deflate", "door:80", strings.Repeat("long", 900)}
		names := []string{"", ":method", ":path", ":scheme", ":authority", "content-type", "te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding",
			"host", "connection", "UPPER", "custom", "custom-bin", ":other", "x-hotpath-min-position", "traceparent", "grpc-tags-bin", "user-agent"}
		name, value := names[w.n(len(names))], values[w.n(len(values))]
		at := slices.IndexFunc(f, func(x [2]string) bool { return x[0] == name })
		switch {
		case at >= 0 && w.n(3) == 0:
			f = slices.Delete(f, at, at+1)
		case at >= 0 && w.n(2) == 0:
			f[at][1] = value
		default:
			f = append(f, [2]string{name, value})
		}
	}
	if plain {
		w.valid = append(w.valid, id)
	}
	end := w.n(10) == 0
	w.sent[id] = end
	w.whole = !plain
	w.fields(id, end, f)
	if !end && w.n(3) > 0 {
		w.message(id, w.n(5) > 0)
	}
}

func (w *writer) fields(id uint32, end bool, fields [][2]string) {
	w.block.Reset()
	for _, f := range fields {
		_ = w.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	b := bytes.Clone(w.block.Bytes())
	cut := len(b)
	if w.n(4) == 1 && !w.whole {
		cut = w.n(256) % len(b)
	}
	_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:cut], EndStream: end, EndHeaders: cut == len(b), PadLength: uint8(w.n(3))})
	for cut < len(b) {
		n := min(len(b)-cut, 1+w.n(200))
		_ = w.framer.WriteContinuation(id, cut+n == len(b), b[cut:cut+n])
		cut += n
	}
}

// message writes a message in some frames.
func (w *writer) message(id uint32, end bool) {
	if w.sent[id] {
		return
	}
	m := encode(question([]byte{doAnswer, doMetadata, doRefuse, doLocal, doLate}[w.n(5)], id, w.n(256), w.n(256)))
	m = append(binary.BigEndian.AppendUint32([]byte{byte(w.n(20) / 19)}, uint32(len(m))), m...)
	for pieces := w.n(4); pieces > 0; pieces-- {
		n := w.n(256) % len(m)
		_ = w.framer.WriteData(id, false, m[:n])
		if m = m[n:]; len(m) == 0 {
			break
		}
	}
	_ = w.framer.WriteData(id, w.ends(id, end), m)
}

// FuzzSameAnswersAsGRPC asks both servers.
func FuzzSameAnswersAsGRPC(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		b := make([]byte, random.IntN(400))
		for i := range b {
			b[i] = byte(random.IntN(256))
		}
		f.Add(b)
	}
	both := newOracle(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		both.compare(t, newScript(b))
	})
}
