package h2

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

const noLimit = 1 << 30

// checkHuffman compares with x/net on one string, cut to every limit that matters.
func checkHuffman(t *testing.T, src []byte) {
	t.Helper()
	want, err := hpack.HuffmanDecodeToString(src)
	got, ok := appendHuffman([]byte("x"), src, noLimit)
	if ok != (err == nil) {
		t.Fatalf("%x: got %t, want %v", src, ok, err)
	}
	if !ok {
		return
	}
	if string(got) != "x"+want {
		t.Fatalf("%x: got %q, want %q", src, got[1:], want)
	}
	if _, ok := appendHuffman(nil, src, len(want)); !ok {
		t.Fatalf("%x: refused at a limit of its own length", src)
	}
	if _, ok := appendHuffman(nil, src, len(want)-1); ok && want != "" {
		t.Fatalf("%x: taken beyond the limit", src)
	}
}

func TestHuffmanIsThatOfXNet(t *testing.T) {
	// Each symbol alone and between others, with each padding of wrong bits and of another byte.
	for symbol := range 256 {
		for _, s := range []string{"", "a", "ab", "\x00a", "abcdefg~"} {
			src := hpack.AppendHuffmanString(nil, s+string([]byte{byte(symbol)})+s)
			checkHuffman(t, src)
			checkHuffman(t, append(bytes.Clone(src), 0xff))
			for bit := range 8 {
				wrong := bytes.Clone(src)
				wrong[len(wrong)-1] ^= 1 << bit
				checkHuffman(t, wrong)
			}
			checkHuffman(t, src[:len(src)-1])
		}
	}
	// EOS, alone and where it would end at each bit.
	for n := range 8 {
		checkHuffman(t, bytes.Repeat([]byte{0xff}, n))
		checkHuffman(t, append(hpack.AppendHuffmanString(nil, strings.Repeat("0", n)), 0xff, 0xff, 0xff, 0xff))
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		src := make([]byte, random.IntN(12))
		for i := range src {
			src[i] = byte(random.Uint32()) | byte(random.Uint32())<<random.IntN(8) // ones are likely: long codes
		}
		checkHuffman(t, src)
	}
	for range 10_000 {
		src := make([]byte, random.IntN(40))
		for i := range src {
			src[i] = byte(random.Uint32())
		}
		checkHuffman(t, hpack.AppendHuffmanString(nil, string(src)))
	}
}

func TestStaticTableIsThatOfXNet(t *testing.T) {
	for index := 1; index <= staticLen; index++ {
		fields, err := hpack.NewDecoder(0, nil).DecodeFull([]byte{indexedBit | byte(index)})
		if err != nil {
			t.Fatal(err)
		}
		name, value := staticField(index)
		if fields[0].Name != name || fields[0].Value != value {
			t.Errorf("%d: %q %q, want %v", index, name, value, fields[0])
		}
		if got, want := staticKind(index), kindOf(name); got != want {
			t.Errorf("%d: %q is of kind %d, want %d", index, name, got, want)
		}
	}
	for k := range kinds {
		name, index := k.names()
		if (name == "") != k.stored() {
			t.Errorf("kind %d: name %q", k, name)
		}
		if name == "" {
			continue
		}
		if kindOf(name) != k {
			t.Errorf("%q is of kind %d, want %d", name, kindOf(name), k)
		}
		if index != 0 {
			if got, _ := staticField(index); got != name {
				t.Errorf("%q: the static table has %q", name, got)
			}
		}
	}
}

func FuzzHuffman(f *testing.F) {
	f.Add([]byte{})
	f.Add(hpack.AppendHuffmanString(nil, "www.example.com"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(checkHuffman)
}
