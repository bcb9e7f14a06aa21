package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/h2"
)

func TestUnaryCall(t *testing.T) {
	c, p := connect(t)
	reply := make(chan string)
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	go func() {
		got, err := c.Unary(ctx, "/a.B/C", 100, []byte("question"))
		reply <- fmt.Sprint(string(got), " ", err)
	}()
	head := next[*http2.MetaHeadersFrame](p)
	want := map[string]string{":method": "POST", ":scheme": "http", ":path": "/a.B/C", ":authority": "localhost",
		"content-type": "application/grpc", "te": "trailers"}
	for _, f := range head.Fields {
		if v, ok := want[f.Name]; ok && v != f.Value {
			t.Errorf("%s: %s", f.Name, f.Value)
		}
		delete(want, f.Name)
		if f.Name == "grpc-timeout" && !strings.HasSuffix(f.Value, "m") {
			t.Errorf("timeout %q", f.Value)
		}
	}
	if len(want) > 0 {
		t.Errorf("lacks %v", want)
	}
	if f := next[*http2.DataFrame](p); !f.StreamEnded() || !bytes.Equal(f.Data(), prefixed([]byte("question"))) {
		t.Errorf("got %q", f.Data())
	}
	p.respond(1)
	p.do(p.WriteDataPadded(1, false, prefixed([]byte("answer")), make([]byte, 7)))
	p.headers(1, true, "grpc-status", "0")
	if got := await(t, reply); got != "answer <nil>" {
		t.Errorf("got %s", got)
	}
}

func TestUnaryCallEndsWithItsContext(t *testing.T) {
	c, p := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Unary(ctx, "/a.B/C", 100, nil)
		done <- err
	}()
	next[*http2.MetaHeadersFrame](p)
	if f := next[*http2.DataFrame](p); !bytes.Equal(f.Data(), prefixed(nil)) {
		t.Errorf("got %q", f.Data())
	}
	cancel()
	if err := await(t, done); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if f := next[*http2.RSTStreamFrame](p); f.ErrCode != http2.ErrCodeCancel {
		t.Errorf("got %v", f)
	}
}

// Messages of every length come in pieces of every length.
func TestMessagesComeInPieces(t *testing.T) {
	for _, most := range []int{1, 2, 7, 1000, maxFrame} {
		c, p := connect(t)
		s, _ := open(t, c, 1<<20)
		next[*http2.MetaHeadersFrame](p)
		p.respond(1)
		r := rand.New(rand.NewPCG(uint64(most), 0))
		var stream []byte
		var want []string
		for range 50 {
			message := bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(1+r.IntN(20*most)))
			want = append(want, string(message))
			stream = append(stream, prefixed(message)...)
		}
		go func() {
			for len(stream) > 0 {
				n := min(1+r.IntN(most), len(stream))
				if p.WriteData(1, false, stream[:n]) != nil {
					return
				}
				stream = stream[n:]
			}
		}()
		for i, message := range want {
			if got := await(t, s.messages); got != message {
				t.Fatalf("message %d has %d bytes, want %d", i, len(got), len(message))
			}
		}
	}
}

func TestWindowsAreObeyed(t *testing.T) {
	c, p := connect(t)
	p.do(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20_000}))
	if f := next[*http2.SettingsFrame](p); !f.IsAck() {
		t.Errorf("got %v", f)
	}
	s, stream := open(t, c, 1<<20)
	next[*http2.MetaHeadersFrame](p)
	message := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{}).Read(message)
	want := prefixed(message)
	s.send <- message
	stream.Flush()
	got := p.gathered(10)
	if len(got) != 10 {
		t.Fatalf("%d bytes in a window of 10", len(got))
	}
	// The stream's window grows by an update, and by a setting, which may also shrink it below nothing.
	p.do(p.WriteWindowUpdate(1, 5))
	got = append(got, p.gathered(5)...)
	p.do(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	next[*http2.SettingsFrame](p)
	p.do(p.WriteWindowUpdate(1, 10))
	p.do(p.WritePing(false, [8]byte{1}))
	if f := next[*http2.PingFrame](p); !f.IsAck() || f.Data != [8]byte{1} {
		t.Errorf("got %v, before the window is above nothing", f)
	}
	p.do(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 200_000}))
	next[*http2.SettingsFrame](p)
	got = append(got, p.gathered(firstWindow-len(got))...)
	if len(got) != firstWindow {
		t.Fatalf("%d bytes in the connection's window", len(got))
	}
	p.do(p.WriteWindowUpdate(0, 1<<20))
	first := next[*http2.DataFrame](p)
	if first.Length != 20_000 {
		t.Errorf("a frame of %d bytes", first.Length)
	}
	got = append(got, first.Data()...)
	got = append(got, p.gathered(len(want)-len(got))...)
	if !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}

func TestPeerGetsCreditForWhatItSent(t *testing.T) {
	c, p := connect(t, func(cfg *Config) { cfg.StreamWindow, cfg.ConnWindow = 100_000, 150_000 })
	s, _ := open(t, c, 1<<20)
	next[*http2.MetaHeadersFrame](p)
	p.respond(1)
	for range 5 {
		p.do(p.WriteData(1, false, prefixed(make([]byte, 10_000-prefixLen))))
	}
	if f := next[*http2.WindowUpdateFrame](p); f.StreamID != 1 || f.Increment != 50_000 {
		t.Errorf("got %v", f)
	}
	for range 3 {
		p.do(p.WriteData(1, false, prefixed(make([]byte, 10_000-prefixLen))))
	}
	if f := next[*http2.WindowUpdateFrame](p); f.StreamID != 0 || f.Increment != 80_000 {
		t.Errorf("got %v", f)
	}
	for range 8 {
		await(t, s.messages)
	}
}

func TestHowStreamsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		peer func(p *peer)
		code codes.Code
		says string
	}{
		"OK":          {func(p *peer) { p.respond(1); p.headers(1, true, "grpc-status", "0") }, codes.OK, ""},
		"a status":    {func(p *peer) { p.respond(1); p.headers(1, true, "grpc-status", "5", "grpc-message", "50%25 %C3%A4") }, codes.NotFound, "50% ä"},
		"bad escapes": {func(p *peer) { p.respond(1); p.headers(1, true, "grpc-status", "5", "grpc-message", "50%") }, codes.NotFound, "50%"},
		"trailers only": {func(p *peer) {
			p.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "8")
		}, codes.ResourceExhausted, ""},
		"details": {func(p *peer) {
			p.respond(1)
			p.headers(1, true, "grpc-status", "5", "grpc-message", "x", "grpc-status-details-bin", "CAUSAWQ")
		}, codes.NotFound, "d"},
		"no status":      {func(p *peer) { p.respond(1); p.headers(1, true, "x", "y") }, codes.Internal, `grpc-status ""`},
		"no trailers":    {func(p *peer) { p.respond(1); p.do(p.WriteData(1, true, nil)) }, codes.Internal, "without trailers"},
		"HTTP status":    {func(p *peer) { p.headers(1, true, ":status", "503") }, codes.Unavailable, "503"},
		"other content":  {func(p *peer) { p.headers(1, false, ":status", "200", "content-type", "text/html") }, codes.Unknown, "text/html"},
		"second headers": {func(p *peer) { p.respond(1); p.respond(1) }, codes.Internal, "second time"},
		"amid a message": {func(p *peer) {
			p.respond(1)
			p.do(p.WriteData(1, false, []byte{0, 0}))
			p.headers(1, true, "grpc-status", "0")
		}, codes.Internal, "amid a message"},
		"compressed":   {func(p *peer) { p.respond(1); p.do(p.WriteData(1, false, []byte{1, 0, 0, 0, 0})) }, codes.Internal, "compressed"},
		"long message": {func(p *peer) { p.respond(1); p.do(p.WriteData(1, false, []byte{0, 0, 0, 4, 0})) }, codes.ResourceExhausted, "at most 1000"},
		"reset":        {func(p *peer) { p.do(p.WriteRSTStream(1, http2.ErrCodeRefusedStream)) }, codes.Unavailable, "REFUSED_STREAM"},
		"GOAWAY":       {func(p *peer) { p.do(p.WriteGoAway(0, http2.ErrCodeNo, nil)) }, codes.Unavailable, ErrGoAway.Error()},
		"lost":         {func(p *peer) { _ = p.conn.Close() }, codes.Unavailable, "lost"},
		"informed before": {func(p *peer) {
			p.headers(1, false, ":status", "103")
			p.respond(1)
			p.headers(1, true, "grpc-status", "2")
		}, codes.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := connect(t)
			s, stream := open(t, conn, 1000)
			next[*http2.MetaHeadersFrame](p)
			c.peer(p)
			err := await(t, s.ended)
			if status.Code(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("got %v", err)
			}
			stream.Cancel(errors.New("too late"))
			conn.Close()
			if len(s.ended) != 0 {
				t.Error("ended twice")
			}
		})
	}
}

func TestCancelledStreamsEndWithTheirCause(t *testing.T) {
	c, p := connect(t)
	told := errors.New("told to")
	s, stream := open(t, c, 1000)
	next[*http2.MetaHeadersFrame](p)
	stream.Cancel(told)
	stream.Cancel(errors.New("another"))
	if err := await(t, s.ended); err != told {
		t.Errorf("got %v", err)
	}
	if f := next[*http2.RSTStreamFrame](p); f.StreamID != 1 || f.ErrCode != http2.ErrCodeCancel {
		t.Errorf("got %v", f)
	}
	p.respond(1) // crosses the reset
	p.do(p.WriteData(1, false, prefixed([]byte("late"))))
	// The connection goes on.
	s, _ = open(t, c, 1000)
	next[*http2.MetaHeadersFrame](p)
	s.refuse = told
	p.respond(3)
	p.do(p.WriteData(3, false, prefixed([]byte("refused"))))
	if err := await(t, s.ended); err != told {
		t.Errorf("got %v", err)
	}
	if f := next[*http2.RSTStreamFrame](p); f.StreamID != 3 {
		t.Errorf("got %v", f)
	}
}

func TestWhatEndsAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		code http2.ErrCode
	}{
		"long frame":          {h2.Frame{Length: maxFrame + 1, Type: h2.Data, Stream: 1}.Append(nil), http2.ErrCodeFrameSize},
		"idle stream":         {h2.Frame{Type: h2.Data, Stream: 9}.Append(nil), http2.ErrCodeProtocol},
		"push":                {h2.Frame{Type: h2.PushPromise, Stream: 1}.Append(nil), http2.ErrCodeProtocol},
		"bad HPACK":           {append(h2.Frame{Length: 1, Type: h2.Headers, Flags: 4, Stream: 1}.Append(nil), 0x80), http2.ErrCodeCompression},
		"padding":             {append(h2.Frame{Length: 2, Type: h2.Data, Flags: 8, Stream: 1}.Append(nil), 9, 9), http2.ErrCodeProtocol},
		"amid a block":        {append(h2.Frame{Length: 1, Type: h2.Headers, Stream: 1}.Append(nil), append([]byte{0x88}, h2.AppendPing(nil, false, [8]byte{})...)...), http2.ErrCodeProtocol},
		"lone CONTINUATION":   {h2.Frame{Type: h2.Continuation, Stream: 1}.Append(nil), http2.ErrCodeProtocol},
		"no increment":        {h2.AppendWindowUpdate(nil, 0, 0), http2.ErrCodeFlowControl},
		"overflow":            {h2.AppendWindowUpdate(nil, 1, maxWindow), http2.ErrCodeFlowControl},
		"short PING":          {append(h2.Frame{Length: 1, Type: h2.Ping}.Append(nil), 0), http2.ErrCodeFrameSize},
		"short GOAWAY":        {append(h2.Frame{Length: 1, Type: h2.GoAway}.Append(nil), 0), http2.ErrCodeFrameSize},
		"odd SETTINGS":        {append(h2.Frame{Length: 1, Type: h2.Settings}.Append(nil), 0), http2.ErrCodeFrameSize},
		"frame size":          {h2.AppendSettings(nil, h2.Setting{ID: h2.SettingMaxFrameSize, Value: 1}), http2.ErrCodeProtocol},
		"window size":         {h2.AppendSettings(nil, h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 31}), http2.ErrCodeFlowControl},
		"the window is spent": {append(h2.Frame{Length: 9, Type: h2.Data, Stream: 1}.Append(nil), make([]byte, 9)...), http2.ErrCodeFlowControl},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := connect(t, func(cfg *Config) {
				if name == "the window is spent" {
					cfg.StreamWindow = 8
				}
			})
			s, _ := open(t, conn, 1000)
			next[*http2.MetaHeadersFrame](p)
			if _, err := p.conn.Write(c.raw); err != nil {
				t.Fatal(err)
			}
			if f := next[*http2.GoAwayFrame](p); f.ErrCode != c.code {
				t.Errorf("got %v", f.ErrCode)
			}
			if err := await(t, s.ended); status.Code(err) != codes.Unavailable {
				t.Errorf("got %v", err)
			}
			await(t, conn.Lost())
			if _, err := conn.Open(Call{Handler: s}); status.Code(err) != codes.Unavailable {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

func TestStreamsGoOnAfterAGoAwayThatCoversThem(t *testing.T) {
	c, p := connect(t)
	s, _ := open(t, c, 1000)
	next[*http2.MetaHeadersFrame](p)
	p.do(p.WriteGoAway(1, http2.ErrCodeNo, nil))
	await(t, c.Lost())
	if _, err := c.Open(Call{Handler: s}); !errors.Is(err, ErrGoAway) || status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	p.respond(1)
	p.do(p.WriteData(1, false, prefixed([]byte("still"))))
	if got := await(t, s.messages); got != "still" {
		t.Errorf("got %q", got)
	}
}

func TestHungPeerIsLost(t *testing.T) {
	c, p := connect(t, func(cfg *Config) { cfg.PingEvery = time.Millisecond; cfg.PingTimeout = longEnough })
	for range 3 {
		f := next[*http2.PingFrame](p)
		p.do(p.WritePing(true, f.Data))
	}
	select {
	case <-c.Lost():
		t.Error("lost although the peer answers")
	default:
	}
	c, _ = connect(t, func(cfg *Config) { cfg.PingEvery, cfg.PingTimeout = 20*time.Millisecond, time.Millisecond })
	s, _ := open(t, c, 1000)
	if err := await(t, s.ended); !errors.Is(err, ErrHung) || status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	await(t, c.Lost())
}

// A peer that reads nothing blocks nobody, and gets everything once it reads.
func TestFlushDoesNotWait(t *testing.T) {
	c, p := connect(t)
	p.do(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow}))
	p.do(p.WriteWindowUpdate(0, 1<<30))
	next[*http2.SettingsFrame](p)
	s, stream := open(t, c, 1000)
	message := make([]byte, 1<<20)
	for range 10 {
		s.send <- message
		stream.Flush()
	}
	next[*http2.MetaHeadersFrame](p)
	p.gathered(10 * (prefixLen + len(message)))
}

// plain hides that a connection can be written without waiting.
type plain struct{ net.Conn }

func TestConnectionsThatOnlyWriteByWaitingDo(t *testing.T) {
	one, other := net.Pipe()
	c := New(plain{one}, Config{StreamWindow: 1 << 20, ConnWindow: 4 << 20, PingEvery: time.Hour, PingTimeout: time.Hour})
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := other.Read(preface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(other, other)
	for _, kind := range []http2.FrameType{http2.FrameSettings, http2.FrameWindowUpdate} {
		if f, err := framer.ReadFrame(); err != nil || f.Header().Type != kind {
			t.Errorf("%v, %v", f, err)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	c, p := connect(t)
	s, stream := open(t, c, 1000)
	next[*http2.MetaHeadersFrame](p)
	c.Close()
	if err := await(t, s.ended); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	stream.Flush()
	stream.Cancel(errors.New("too late"))
	c.Close()
}

// When the first stream hears of the loss, the others are being ended. Only -race sees if that is not guarded.
func TestCancelWhileTheConnectionIsLost(t *testing.T) {
	c, p := connect(t)
	first, _ := open(t, c, 1000)
	var others []*scripted
	var streams []*Stream
	for range 20 {
		s, stream := open(t, c, 1000)
		others, streams = append(others, s), append(streams, stream)
	}
	_ = p.conn.Close()
	if err := await(t, first.ended); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	for _, stream := range streams {
		stream.Cancel(status.Error(codes.Canceled, "left"))
	}
	for _, s := range others {
		if err := await(t, s.ended); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v, though the loss came first", err)
		}
	}
}
