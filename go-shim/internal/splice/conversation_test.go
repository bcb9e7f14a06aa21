package splice

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
)

// begun is how every connection begins; then calls may be hot.
const begun = `
grpc SETTINGS 5=16384
=> client SETTINGS 5=16384
client preface
client SETTINGS 4=65535
=> grpc SETTINGS 1=0 4=65535
grpc SETTINGS ack
=> client SETTINGS ack
`

// onceAnswered puts both entries into the client's table.
const onceAnswered = begun + `
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
answer 1 hello
=> client HEADERS 1 :status=200 content-type=application/grpc
=> client DATA 1 "\x00\x00\x00\x00\x05hello"
=> client HEADERS 1 end grpc-status=0
`

func conversations() map[string]string {
	return map[string]string{
		"before SETTINGS are acknowledged a call is cold": `
client preface
client SETTINGS
=> grpc SETTINGS 1=0
client HEADERS 1 hot
=> grpc HEADERS 1 /test.Service/Hot 9S`,
		"replies after the first have three bytes of headers": onceAnswered + `
client HEADERS 3 hot
client DATA 3 end msg hi
=> call 3 hi
answer 3 hello
=> client HEADERS 3 88bf
=> client DATA 3 "\x00\x00\x00\x00\x05hello"
=> client HEADERS 3 end be`,
		"a refusal is trailers only": onceAnswered + `
client HEADERS 3 hot
client DATA 3 end msg hi
=> call 3 hi
refuse 3 5 50%
=> client HEADERS 3 end :status=200 content-type=application/grpc grpc-status=5 grpc-message=50%25`,
		"a position is told in headers": onceAnswered + `
client HEADERS 3 hot
client DATA 3 end msg hi
=> call 3 hi
refuse 3 5 no tell
=> client HEADERS 3 :status=200 content-type=application/grpc x-hotpath-position=7
=> client HEADERS 3 end grpc-status=5 grpc-message=no`,
		"a cold call and its reply pass": begun + `
client HEADERS 1 cold
=> grpc HEADERS 1 /test.Service/Cold 9S
client DATA 1 end msg hi
=> grpc DATA 1 end "\x00\x00\x00\x00\x02hi"
grpc HEADERS 1 block 2088
=> client HEADERS 1 88
grpc DATA 1 msg hello
=> client DATA 1 "\x00\x00\x00\x00\x05hello"
grpc HEADERS 1 end block 8c
=> client HEADERS 1 end 8c
grpc DATA 1 msg late
=> grpc WINDOW_UPDATE 0 9`,
		"ids towards grpc-go are its own": begun + `
client HEADERS 5 hot
client HEADERS 9 cold
=> grpc HEADERS 1 /test.Service/Cold 9S
client DATA 5 end msg hi
=> call 5 hi
local 5
=> grpc HEADERS 3 /test.Service/Hot 1000000u
=> grpc DATA 3 end "\x00\x00\x00\x00\x02hi"
grpc HEADERS 3 block 88
=> client HEADERS 5 88
grpc RST_STREAM 3 8
=> client RST_STREAM 5 8
client RST_STREAM 9 8
=> grpc RST_STREAM 1 8`,
		"unknown metadata is grpc-go's": begun + `
client HEADERS 1 odd
=> grpc HEADERS 1 /test.Service/Hot 9S`,
		"compressed messages are grpc-go's": begun + `
client HEADERS 1 hot
client DATA 1 end hex 0100000000
=> grpc HEADERS 1 /test.Service/Hot 9S
=> grpc DATA 1 end "\x01\x00\x00\x00\x00"`,
		"requests that end early, or have more, are grpc-go's": begun + `
client HEADERS 1 hot
client DATA 1 end hex 000000
=> grpc HEADERS 1 /test.Service/Hot 9S
=> grpc DATA 1 end "\x00\x00\x00"
client HEADERS 3 hot
client DATA 3 hex 0000000000
client DATA 3 hex 00
=> grpc HEADERS 3 /test.Service/Hot 9S
=> grpc DATA 3 "\x00\x00\x00\x00\x00\x00"`,
		"long requests are grpc-go's": begun + `
client HEADERS 1 hot
client DATA 1 hex 000001000161
=> grpc HEADERS 1 /test.Service/Hot 9S
=> grpc DATA 1 "\x00\x00\x01\x00\x01a"
client DATA 1 end hex 61
=> grpc DATA 1 end "a"`,
		"requests that are late are grpc-go's, with what is left of their time": begun + `
client HEADERS 1 hot
client DATA 1 hex 0000
expire
=> grpc HEADERS 1 /test.Service/Hot 7000000u
=> grpc DATA 1 "\x00\x00"`,
		"what is handed over was credited, and is not credited again": begun + `
client HEADERS 1 hot
client DATA 1 hex 00000001 pad 3
expire
=> client WINDOW_UPDATE 1 4
=> grpc HEADERS 1 /test.Service/Hot 7000000u
=> grpc DATA 1 "\x00\x00\x00\x01"
grpc WINDOW_UPDATE 0 3
grpc WINDOW_UPDATE 0 3
=> client WINDOW_UPDATE 0 2`,
		"hot requests are credited by the door": begun + `
client HEADERS 1 hot
client DATA 1 bytes 16000
=> grpc HEADERS 1 /test.Service/Hot 9S
=> grpc DATA 1 16000 bytes
client DATA 99 bytes 16000
=> client WINDOW_UPDATE 0 32000`,
		"grpc-go's window is smaller by hot replies, and bigger again by updates": begun + `
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
answer 1 hello
=> client HEADERS 1 :status=200 content-type=application/grpc
=> client DATA 1 "\x00\x00\x00\x00\x05hello"
=> client HEADERS 1 end grpc-status=0
client WINDOW_UPDATE 0 4
client WINDOW_UPDATE 0 10
=> grpc WINDOW_UPDATE 0 4`,
		"a reply waits for its stream's window": `
client preface
client SETTINGS 4=3
=> grpc SETTINGS 1=0 4=3
grpc SETTINGS ack
=> client SETTINGS ack
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
answer 1 hello
=> client HEADERS 1 :status=200 content-type=application/grpc
=> client DATA 1 "\x00\x00\x00"
client PING 7
=> client PING ack 7
client WINDOW_UPDATE 1 6
=> client DATA 1 "\x00\x05hell"
client SETTINGS 4=100
=> grpc SETTINGS 4=100
grpc SETTINGS ack
=> client SETTINGS ack
=> client DATA 1 "o"
=> client HEADERS 1 end grpc-status=0`,
		"held trailers of grpc-go keep their place, and their reset": `
client preface
client SETTINGS 4=0
=> grpc SETTINGS 1=0 4=0
grpc SETTINGS ack
=> client SETTINGS ack
client HEADERS 1 cold
=> grpc HEADERS 1 /test.Service/Cold 9S
grpc HEADERS 1 block 88
=> client HEADERS 1 88
grpc DATA 1 msg hello
grpc HEADERS 1 end block 8c
grpc RST_STREAM 1 0
client WINDOW_UPDATE 1 10
=> client DATA 1 "\x00\x00\x00\x00\x05hello"
=> client HEADERS 1 end 8c
=> client RST_STREAM 1 0
=> grpc WINDOW_UPDATE 1 10`,
		"what is held of a stream that the client resets is grpc-go's to spend again": `
client preface
client SETTINGS 4=0
=> grpc SETTINGS 1=0 4=0
grpc SETTINGS ack
=> client SETTINGS ack
client HEADERS 1 cold
=> grpc HEADERS 1 /test.Service/Cold 9S
grpc DATA 1 msg hello
client RST_STREAM 1 8
=> grpc RST_STREAM 1 8
=> grpc WINDOW_UPDATE 0 10`,
		"a smaller table of the client is obeyed": onceAnswered + `
client SETTINGS 1=50
=> grpc SETTINGS
grpc SETTINGS ack
=> client SETTINGS ack
client HEADERS 3 hot
client DATA 3 end msg hi
=> call 3 hi
client HEADERS 5 cold
=> grpc HEADERS 1 /test.Service/Cold 9S
grpc HEADERS 1 block 88
=> client HEADERS 5 2088
answer 3 a
=> client HEADERS 3 :status=200 content-type=application/grpc
=> client DATA 3 "\x00\x00\x00\x00\x01a"
=> client HEADERS 3 end grpc-status=0`,
		"PINGs are grpc-go's, unless it could count those wrongly": onceAnswered + `
client PING 1
=> client PING ack 1
client PING 2
=> grpc PING 2`,
		"the client leaves a call": begun + `
client HEADERS 1 hot
client DATA 1 msg hi
client RST_STREAM 1 8
client HEADERS 3 hot
client DATA 3 end msg hi
=> call 3 hi
client RST_STREAM 3 8
=> gone 3`,
		"DATA after the end": begun + `
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
client DATA 1 msg more
=> gone 1
=> client RST_STREAM 1 5`,
		"a window of nothing": begun + `
client HEADERS 1 hot
client WINDOW_UPDATE 1 0
=> client RST_STREAM 1 1
client WINDOW_UPDATE 7 0
=> client RST_STREAM 7 1
client WINDOW_UPDATE 0 0
=> grpc WINDOW_UPDATE 0 0`,
		"too many streams": `
grpc SETTINGS 3=1
=> client SETTINGS 3=1
client preface
client SETTINGS
=> grpc SETTINGS 1=0
grpc SETTINGS ack
=> client SETTINGS ack
client HEADERS 1 hot
client HEADERS 3 hot
=> client RST_STREAM 3 7
client HEADERS 5 cold
=> client RST_STREAM 5 7`,
		"grpc-go drains when no hot call is under way": begun + `
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
grpc GOAWAY 2147483647 0
=> client GOAWAY 2147483647 0
grpc PING 9
=> client PING 9
client HEADERS 3 hot
=> grpc HEADERS 1 /test.Service/Hot 9S
client PING ack 9
local 1
=> grpc HEADERS 3 /test.Service/Hot 1000000u
=> grpc DATA 3 end "\x00\x00\x00\x00\x02hi"
=> grpc PING ack 9
client HEADERS 5 cold
=> grpc HEADERS 5 /test.Service/Cold 9S
grpc GOAWAY 3 0
=> client GOAWAY 3 0`,
		"a call that comes back too late for grpc-go may be tried elsewhere": begun + `
client HEADERS 1 hot
client DATA 1 end msg hi
=> call 1 hi
grpc GOAWAY 0 2
=> client GOAWAY 1 2
local 1
=> client RST_STREAM 1 7`,
		"trailers of a request": begun + `
client HEADERS 1 hot
client HEADERS 1 end block 82
=> grpc HEADERS 2 end`,
		"a broken header block": begun + `
client HEADERS 1 block 80
=> grpc HEADERS 3 broken`,
		"a frame within a header block": begun + `
client HEADERS 1 more block 82
client PING 1
=> grpc HEADERS 2
=> grpc PING 1
client HEADERS 3 cold`,
		"a frame that is too long": begun + `
client raw 004001000000000001
=> grpc rest 004001000000000001`,
		"no HTTP/2": `
client raw 474554202f20485454502f312e310d0a0d0a0d0a0d0a0d0a
=> grpc`,
	}
}

func TestConversations(t *testing.T) {
	for name, text := range conversations() {
		t.Run(name, func(t *testing.T) {
			r := newTalkRig(t)
			var came []string
			said := "the beginning"
			over := func() {
				if len(came) > 0 {
					t.Errorf("after %q there came also %q", said, came)
				}
			}
			for line := range strings.Lines(text) {
				line = strings.TrimSpace(line)
				want, isWant := strings.CutPrefix(line, "=> ")
				switch {
				case line == "":
				case isWant && want == "grpc":
					came = nil
				case isWant && (len(came) == 0 || came[0] != want):
					t.Fatalf("after %q: want %q, got %q", said, want, came)
				case isWant:
					came = came[1:]
				default:
					over()
					said = line
					if line == "client preface" {
						r.core.FromClient(r.frame([]string{"preface"}))
						continue
					}
					came = r.say(line)
				}
			}
			over()
		})
	}
}

// The bytes of a reply, the first and every other.
func TestReplyBytes(t *testing.T) {
	r := newTalkRig(t)
	for line := range strings.Lines(begun) {
		if line = strings.TrimSpace(line); line == "client preface" {
			r.core.FromClient(r.frame([]string{"preface"}))
		} else if line != "" && line[0] != '=' {
			r.say(line)
		}
	}
	replyBytes(t, r, "1", "000013 01 04 00000001 88 5f10 6170706c69636174696f6e2f67727063"+ // application/grpc, to be indexed
		"000007 00 00 00000001 00 00000002 6f6b"+
		"00000f 01 05 00000001 40 0b 677270632d737461747573 01 30") // grpc-status: 0, to be indexed
	replyBytes(t, r, "3", "000002 01 04 00000003 88bf"+"000007 00 00 00000003 00 00000002 6f6b"+"000001 01 05 00000003 be")
}

func replyBytes(t *testing.T, r *talkRig, id, want string) {
	t.Helper()
	r.say("client HEADERS " + id + " hot")
	r.say("client DATA " + id + " end msg hi")
	for _, call := range r.calls {
		if !call.stream.ended && call.Body != nil {
			r.core.answer(call.stream, []byte("o"), []byte("k"), 0, false)
		}
	}
	clear(r.calls)
	got := hex.EncodeToString(r.core.toClient.b)
	r.core.toClient = nil
	if want := strings.ReplaceAll(want, " ", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTable(t *testing.T) {
	table := &table{pools: new(pools)}
	there := map[uint32]*stream{}
	for i := range uint32(20_000) {
		id := i*2 + 1 + i%7*1000
		if there[id] == nil {
			there[id] = &stream{id: id}
			table.put(id, there[id])
		}
		if gone := (i/2)*2 + 1; i%3 != 0 || i > 10_000 {
			delete(there, gone)
			table.remove(gone)
		}
		if table.n != len(there) {
			t.Fatalf("%d entries, not %d", table.n, len(there))
		}
	}
	for id := range uint32(60_000) {
		if table.get(id) != there[id] {
			t.Fatalf("%d: %v, not %v", id, table.get(id), there[id])
		}
	}
	for id := range there {
		table.remove(id)
	}
	if table.n != 0 || len(table.slots) > fewSlots {
		t.Errorf("%d entries in %d slots", table.n, len(table.slots))
	}
}

func TestHeadersBeyondAFrame(t *testing.T) {
	b := make([]byte, 3+9, 3+9+40_000)
	for i := range 40_000 {
		b = append(b, byte(i))
	}
	block := slices.Clone(b[12:])
	b = frameBlock(b, 3, 5, true)
	var got []byte
	var heads []string
	rest := parseFrames(b[3:], func(head string, payload []byte) {
		heads = append(heads, head)
		got = append(got, payload...)
	})
	if want := []string{"HEADERS 1 5", "CONTINUATION 0 5", "CONTINUATION 4 5"}; !slices.Equal(heads, want) || len(rest) > 0 || !bytes.Equal(got, block) {
		t.Errorf("%v, %d bytes, %d left", heads, len(got), len(rest))
	}
}

func TestStatusesAreEncodedAsByGRPC(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain ~!": "plain ~!", "50%": "50%25", "é\n": "%C3%A9%0A", "\xff": "%EF%BF%BD", "a\x00b": "a%00b", "x\x7f": "x%7F",
	} {
		if got := percentEncode(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
	if _, list := appendStatus(nil, &spb.Status{Code: 5, Message: "%"}); list != 32+11+1+32+12+3 {
		t.Errorf("the list counts %d", list)
	}
}
