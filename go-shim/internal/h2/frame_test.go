package h2

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// x/net/http2 reads what this package writes.
func TestFramesAreWhatXNetReads(t *testing.T) {
	var b []byte
	b = AppendSettings(b, Setting{SettingInitialWindowSize, 70_000}, Setting{SettingMaxFrameSize, 1 << 20})
	b = AppendSettingsAck(b)
	b = AppendWindowUpdate(b, 0, maxWindow)
	b = AppendWindowUpdate(b, maxWindow, 1)
	b = AppendRST(b, 5, EnhanceYourCalm)
	b = AppendPing(b, false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	b = AppendPing(b, true, [8]byte{8})
	b = AppendGoAway(b, 9, HTTP11Required, []byte("why"))
	b = append(Frame{Length: 3, Type: Data, Flags: FlagEndStream, Stream: 7}.Append(b), "abc"...)
	framer := http2.NewFramer(nil, bytes.NewReader(b))
	var got []string
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			break
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			got = append(got, f.String(), string(f.DebugData()))
		case *http2.DataFrame:
			got = append(got, f.String(), string(f.Data()))
		case *http2.PingFrame:
			got = append(got, f.String(), string(f.Data[:]))
		case *http2.WindowUpdateFrame, *http2.RSTStreamFrame, *http2.SettingsFrame:
			got = append(got, f.Header().String())
			if f, ok := f.(*http2.SettingsFrame); ok {
				_ = f.ForeachSetting(func(s http2.Setting) error { got = append(got, s.String()); return nil })
			}
			if f, ok := f.(*http2.WindowUpdateFrame); ok && f.Increment != 1 && f.Increment != maxWindow {
				t.Error(f)
			}
			if f, ok := f.(*http2.RSTStreamFrame); ok {
				got = append(got, f.ErrCode.String())
			}
		}
	}
	want := []string{
		"[FrameHeader SETTINGS len=12]", "[INITIAL_WINDOW_SIZE = 70000]", "[MAX_FRAME_SIZE = 1048576]",
		"[FrameHeader SETTINGS flags=ACK len=0]",
		"[FrameHeader WINDOW_UPDATE len=4]", "[FrameHeader WINDOW_UPDATE stream=2147483647 len=4]",
		"[FrameHeader RST_STREAM stream=5 len=4]", "ENHANCE_YOUR_CALM",
		"[FrameHeader PING len=8]", "\x01\x02\x03\x04\x05\x06\x07\x08",
		"[FrameHeader PING flags=ACK len=8]", "\x08\x00\x00\x00\x00\x00\x00\x00",
		"[FrameHeader GOAWAY len=11]", "why", "[FrameHeader DATA flags=END_STREAM stream=7 len=3]", "abc",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
}

func TestParseFrameIsAppendsInverse(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		want := Frame{
			Length: int(random.Uint32() >> 8), Type: Type(random.Uint32()), Flags: Flags(random.Uint32()),
			Stream: random.Uint32() >> 1,
		}
		b := want.Append(nil)
		if got := ParseFrame(b); got != want || len(b) != HeaderLen {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		b[5] |= 0x80 // the reserved bit
		if got := ParseFrame(b); got != want {
			t.Fatalf("reserved bit: got %+v, want %+v", got, want)
		}
	}
}

// oraclePayload is what x/net/http2 takes from a frame.
func oraclePayload(f Frame, b []byte) ([]byte, bool) {
	framer := http2.NewFramer(nil, bytes.NewReader(append(f.Append(nil), b...)))
	got, err := framer.ReadFrame()
	if err != nil {
		return nil, false
	}
	if data, ok := got.(*http2.DataFrame); ok {
		return data.Data(), true
	}
	return got.(*http2.HeadersFrame).HeaderBlockFragment(), true
}

func checkPayload(t *testing.T, f Frame, b []byte) {
	t.Helper()
	want, good := oraclePayload(f, b)
	got, err := Payload(f, b)
	if (err == nil) != good || !bytes.Equal(got, want) {
		t.Fatalf("%+v %x: got %x, %v, want %x, %t", f, b, got, err, want, good)
	}
	var broken *Error
	if err != nil && (!errors.As(err, &broken) || broken.Code != ProtocolError && broken.Code != FrameSizeError) {
		t.Fatalf("%+v %x: %v", f, b, err)
	}
}

// All flags over all short payloads, whose first byte is the length of padding if there is any.
func TestPayloadIsThatOfXNet(t *testing.T) {
	for length := range 12 {
		for first := range 12 {
			for flags := range 256 {
				for _, kind := range []Type{Data, Headers} {
					b := []byte{byte(first), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}[:length]
					checkPayload(t, Frame{Length: length, Type: kind, Flags: Flags(flags), Stream: 1}, b)
				}
			}
		}
	}
}

func TestSettings(t *testing.T) {
	frame := AppendSettings(nil, Setting{1, 2}, Setting{0xffff, 0xffffffff}, Setting{SettingInitialWindowSize, maxWindow})
	var got []Setting
	collect := func(id uint16, value uint32) { got = append(got, Setting{id, value}) }
	if err := EachSetting(frame[HeaderLen:], collect); err != nil {
		t.Fatal(err)
	}
	if want := []Setting{{1, 2}, {0xffff, 0xffffffff}, {4, maxWindow}}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	got = nil
	if err := EachSetting(frame[HeaderLen:len(frame)-1], collect); err != ErrSettingsLength {
		t.Error(err)
	}
	frame = AppendSettings(nil, Setting{1, 2}, Setting{SettingInitialWindowSize, maxWindow + 1})
	if err := EachSetting(frame[HeaderLen:], collect); err != ErrInitialWindow {
		t.Error(err)
	}
	if got != nil {
		t.Errorf("settings of a refused frame were told: %v", got)
	}
}

func TestNamesAreThoseOfNetHTTP2(t *testing.T) {
	for frame := Data; frame <= Continuation; frame++ {
		if want := http2.FrameType(frame).String(); frame.String() != want {
			t.Errorf("frame %d is %v, want %s", uint8(frame), frame, want)
		}
	}
	for code := NoError; code <= HTTP11Required; code++ {
		if want := http2.ErrCode(code).String(); code.String() != want {
			t.Errorf("code %d is %v, want %s", uint32(code), code, want)
		}
	}
	if Type(77).String() != "frame type 77" || ErrCode(77).String() != "error code 77" {
		t.Errorf("others are %v and %v", Type(77), ErrCode(77))
	}
}
