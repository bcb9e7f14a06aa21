package splice

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	spb "google.golang.org/genproto/googleapis/rpc/status"
)

// talkRig speaks for both sides of a Core, in lines such as
//
//	client HEADERS 1 hot            a block of a call of the hot method (cold, odd: others)
//	client DATA 1 end msg hello     a message with its prefix; "hex 00" are bytes as they are, "pad 3" adds padding
//	grpc HEADERS 1 end block 88     a block as it is
//	client SETTINGS 4=100           an initial window of 100; "SETTINGS ack"
//	answer 1 hello                  the policy's answer to stream 1; refuse, local, expire
//	=> client HEADERS 1 88          what comes out, in the same words
type talkRig struct {
	t                *testing.T
	core             *Core
	encoder          *hpack.Encoder
	encoded          bytes.Buffer
	decoder, answers *hpack.Decoder
	calls            map[uint32]*Call
}

func newTalkRig(t *testing.T) *talkRig {
	limits := Limits{}.withDefaults()
	r := &talkRig{t: t, core: newCore(&limits, newPolicy().Method, false, new(pools)), calls: map[uint32]*Call{},
		decoder: hpack.NewDecoder(4096, nil), answers: hpack.NewDecoder(4096, nil)}
	r.core.now = time.Unix(1000, 0)
	r.encoder = hpack.NewEncoder(&r.encoded)
	return r
}

// say does one line, and returns what came out.
func (r *talkRig) say(line string) []string {
	words := strings.Fields(line)
	number := func(i int) uint32 {
		n, err := strconv.Atoi(words[i])
		if err != nil {
			r.t.Fatalf("%s: %v", line, err)
		}
		return uint32(n)
	}
	switch words[0] {
	case "client":
		if words[1] == "preface" {
			r.core.FromClient([]byte(http2.ClientPreface))
			return nil // it comes out with the next line
		}
		b := r.frame(words[1:])
		if n := r.core.FromClient(b); n != len(b) {
			r.t.Fatalf("%s: %d bytes of %d used", line, n, len(b))
		}
	case "grpc":
		r.core.FromServer(r.frame(words[1:]))
	case "answer":
		r.core.answer(r.calls[number(1)].stream, nil, []byte(words[2]), 7, len(words) > 3)
	case "refuse":
		r.core.refuseCall(r.calls[number(1)].stream, &spb.Status{Code: int32(number(2)), Message: words[3]}, 7, len(words) > 4)
	case "local":
		r.core.handOver(r.calls[number(1)].stream, time.Second)
	case "expire":
		r.core.now = r.core.now.Add(2 * time.Second)
		r.core.expire(r.core.now.Add(-time.Second))
	default:
		r.t.Fatal(line)
	}
	return r.came()
}

func (r *talkRig) frame(words []string) []byte {
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	f.AllowIllegalWrites = true
	id, _ := strconv.Atoi(append(words, "0", "0")[1])
	has := func(word string) bool { return strings.Contains(" "+strings.Join(words, " ")+" ", " "+word+" ") }
	after := func(word string) string {
		for i, w := range words[:len(words)-1] {
			if w == word {
				return words[i+1]
			}
		}
		return ""
	}
	n, _ := strconv.Atoi(words[len(words)-1])
	switch words[0] {
	case "SETTINGS":
		if has("ack") {
			_ = f.WriteSettingsAck()
			break
		}
		var all []http2.Setting
		for _, w := range words[1:] {
			var s http2.Setting
			_, _ = fmt.Sscanf(w, "%d=%d", &s.ID, &s.Val)
			all = append(all, s)
		}
		_ = f.WriteSettings(all...)
	case "HEADERS":
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(id), EndStream: has("end"), EndHeaders: !has("more"), BlockFragment: r.block(words, after("block"))})
	case "CONTINUATION":
		_ = f.WriteContinuation(uint32(id), !has("more"), r.block(words, after("block")))
	case "DATA":
		data, _ := hex.DecodeString(after("hex"))
		if m := after("msg"); m != "" {
			data = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
		}
		if m := after("bytes"); m != "" {
			n, _ := strconv.Atoi(m)
			data = append(data, make([]byte, n)...)
		}
		var pad []byte
		if p, err := strconv.Atoi(after("pad")); err == nil {
			pad = make([]byte, p)
		}
		_ = f.WriteDataPadded(uint32(id), has("end"), data, pad)
	case "WINDOW_UPDATE":
		_ = f.WriteWindowUpdate(uint32(id), uint32(n))
	case "RST_STREAM":
		_ = f.WriteRSTStream(uint32(id), http2.ErrCode(n))
	case "PING":
		_ = f.WritePing(has("ack"), [8]byte{1, 6, 1, 8, 0, 3, 3, byte(n)})
	case "GOAWAY":
		_ = f.WriteGoAway(uint32(id), http2.ErrCode(n), nil)
	case "raw":
		b, _ := hex.DecodeString(strings.Join(words[1:], ""))
		out.Write(b)
	default:
		r.t.Fatal(words)
	}
	return out.Bytes()
}

func (r *talkRig) block(words []string, raw string) []byte {
	if raw != "" {
		b, _ := hex.DecodeString(raw)
		return b
	}
	path := hotMethod
	r.encoded.Reset()
	for _, w := range words {
		if w == "cold" {
			path = coldMethod
		}
	}
	fields := []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "door", "te", "trailers", "content-type", "application/grpc", "grpc-timeout", "9S"}
	for _, w := range words {
		if w == "odd" {
			fields = append(fields, "authorization", "x")
		}
	}
	for i := 0; i < len(fields); i += 2 {
		_ = r.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(r.encoded.Bytes())
}

// came says what came out since.
func (r *talkRig) came() (all []string) {
	for _, call := range r.core.calls {
		call.stream.begun = true
		r.calls[call.stream.id] = call
		all = append(all, fmt.Sprintf("call %d %s", call.stream.id, call.Body))
	}
	for _, call := range r.core.gone {
		all = append(all, fmt.Sprintf("gone %d", call.stream.id))
	}
	r.core.batch = new(batch)
	if out := r.core.toClient; out != nil {
		r.core.toClient = nil
		all = append(all, r.words("client", out.b)...)
	}
	if out := r.core.toServer; out != nil {
		r.core.toServer = nil
		b := out.b
		b = bytes.TrimPrefix(b, []byte(http2.ClientPreface))
		all = append(all, r.words("grpc", b)...)
	}
	return all
}

func (r *talkRig) words(to string, b []byte) (all []string) {
	rest := parse(b, func(f http2.FrameHeader, p []byte) {
		word := fmt.Sprintf("%s %v", to, f.Type)
		if f.StreamID != 0 || f.Type == http2.FrameWindowUpdate {
			word += fmt.Sprint(" ", f.StreamID)
		}
		if (f.Type == http2.FrameHeaders || f.Type == http2.FrameData) && f.Flags.Has(http2.FlagDataEndStream) {
			word += " end"
		}
		switch f.Type {
		case http2.FrameHeaders:
			word += r.headers(to, p)
		case http2.FrameData:
			if len(p) > 40 {
				word += fmt.Sprintf(" %d bytes", len(p))
			} else {
				word += fmt.Sprintf(" %q", p)
			}
		case http2.FrameWindowUpdate, http2.FrameRSTStream:
			word += fmt.Sprint(" ", binary.BigEndian.Uint32(p))
		case http2.FrameGoAway:
			word += fmt.Sprint(" ", binary.BigEndian.Uint32(p), " ", binary.BigEndian.Uint32(p[4:]))
		case http2.FrameSettings, http2.FramePing:
			if f.Flags.Has(http2.FlagSettingsAck) {
				word += " ack"
			}
			for ; f.Type == http2.FrameSettings && len(p) > 0; p = p[6:] {
				word += fmt.Sprintf(" %d=%d", binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:]))
			}
			if f.Type == http2.FramePing {
				word += fmt.Sprint(" ", p[7])
			}
		}
		all = append(all, word)
	})
	if len(rest) > 0 {
		all = append(all, fmt.Sprintf("%s rest %x", to, rest))
	}
	return all
}

// headers are bytes towards the client, and to grpc-go what the call is.
func (r *talkRig) headers(to string, block []byte) string {
	if to == "client" {
		if len(block) <= 4 {
			return fmt.Sprintf(" %x", block)
		}
		fields, err := r.answers.DecodeFull(block)
		if err != nil {
			return " broken"
		}
		word := ""
		for _, f := range fields {
			word += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		return word
	}
	fields, err := r.decoder.DecodeFull(block)
	if err != nil {
		return " broken"
	}
	word := ""
	for _, f := range fields {
		if f.Name == ":path" || f.Name == "grpc-timeout" {
			word += " " + f.Value
		}
	}
	return word
}
