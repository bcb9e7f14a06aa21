package h2

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

const hotPath = "/wallet.v1.WalletService/GetBalance"

func onlyHotPath(path []byte) int {
	if string(path) == hotPath {
		return 7
	}
	return -1
}

type pair struct{ name, value string }

// call is what a client of grpc-go sends.
func call(timeout string, more ...pair) []pair {
	fields := []pair{
		{":method", "POST"}, {":scheme", "http"}, {":path", hotPath}, {":authority", "wallet.example:8443"},
		{"content-type", "application/grpc"}, {"user-agent", "grpc-go/1.66.2"}, {"te", "trailers"},
	}
	if timeout != "" {
		fields = append(fields, pair{"grpc-timeout", timeout})
	}
	return append(fields, more...)
}

// client encodes as grpc-go's and grpc-java's do: everything enters the table.
type client struct {
	buffer bytes.Buffer
	*hpack.Encoder
}

func newClient() *client {
	c := &client{}
	c.Encoder = hpack.NewEncoder(&c.buffer)
	return c
}

func (c *client) block(fields []pair) []byte {
	c.buffer.Reset()
	for _, f := range fields {
		_ = c.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
	}
	return bytes.Clone(c.buffer.Bytes())
}

// literalPath encodes as the clients of hyper do, whose :path never enters the table.
func (c *client) literalPath(fields []pair) []byte {
	var b []byte
	for _, f := range fields {
		if f.name == ":path" {
			b = append(b, 4)
			b = appendInt(b, 0x80, 7, int(hpack.HuffmanEncodeLength(f.value)))
			b = hpack.AppendHuffmanString(b, f.value)
			continue
		}
		b = append(b, c.block([]pair{f})...)
	}
	return b
}

// timeouts returns blocks of as many calls, each with another timeout.
func timeouts(n int, encode func([]pair) []byte) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = encode(call(fmt.Sprintf("%du", 999_999-i)))
	}
	return blocks
}

func BenchmarkDecode(b *testing.B) {
	b.Run("same", func(b *testing.B) {
		c, d := newClient(), NewDecoder(onlyHotPath)
		mustDecode(b, d, c.block(call("")))
		block := c.block(call(""))
		mustDecode(b, d, block)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Decode(block, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, encode := range map[string]func(*client, []pair) []byte{
		"new timeout": (*client).block, "new timeout, literal path": (*client).literalPath,
	} {
		b.Run(name, func(b *testing.B) {
			c := newClient()
			blocks := timeouts(50_000, func(f []pair) []byte { return encode(c, f) })
			var d *Decoder
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(blocks) == 0 {
					d = NewDecoder(onlyHotPath)
				}
				if _, err := d.Decode(blocks[i%len(blocks)], 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeByXNet(b *testing.B) {
	b.Run("new timeout", func(b *testing.B) {
		c := newClient()
		blocks := timeouts(50_000, c.block)
		var d *hpack.Decoder
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(blocks) == 0 {
				d = hpack.NewDecoder(4096, func(hpack.HeaderField) {})
			}
			if _, err := d.Write(blocks[i%len(blocks)]); err != nil {
				b.Fatal(err)
			}
			_ = d.Close()
		}
	})
}

func BenchmarkDecodeInFull(b *testing.B) {
	b.Run("never the same", func(b *testing.B) {
		c := newClient()
		var d *Decoder
		var blocks [][]byte
		for i := range 50_000 {
			blocks = append(blocks, c.block(call("1S", pair{"x-request-id", fmt.Sprint(i)})))
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(blocks) == 0 {
				d = NewDecoder(onlyHotPath)
			}
			if _, err := d.Decode(blocks[i%len(blocks)], 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendBlock(b *testing.B) {
	b.Run("new timeout", func(b *testing.B) {
		head := mustDecode(b, NewDecoder(onlyHotPath), newClient().block(call("999999u")))
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			out = head.AppendBlock(out[:0], time.Second)
		}
	})
}

func mustDecode(tb testing.TB, d *Decoder, block []byte) Head {
	tb.Helper()
	head, err := d.Decode(block, 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	return head
}
