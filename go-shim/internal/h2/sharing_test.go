package h2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Each way that real clients write their blocks, for thousands of calls: the table is full and turns over many times.
func TestCallsOfAClientShareFields(t *testing.T) {
	const calls = 1500
	for name, c := range map[string]struct {
		encode  func(*client, []pair) []byte
		fields  func(i int) []pair
		maxFull int // calls in full, of all
		lists   int // different lists but for the timeout
	}{
		"grpc-go, no deadline":     {(*client).block, func(int) []pair { return call("") }, 1, 1},
		"grpc-go, a deadline each": {(*client).block, func(i int) []pair { return call(fmt.Sprint(9_999_999-i, "n")) }, calls / 8, 1},
		"hyper, one timeout":       {(*client).literalPath, func(int) []pair { return call("1000000u") }, 1, 1},
		"hyper, a deadline each":   {(*client).literalPath, func(i int) []pair { return call(fmt.Sprint(9_999_999-i, "n")) }, calls / 8, 1},
		"four methods by turns": {(*client).block, func(i int) []pair {
			return with(call(fmt.Sprint(9_999_999-i, "n")), ":path", fmt.Sprint("/a/", i%4))
		}, calls / 6, 4},
		"token": {(*client).block, func(i int) []pair {
			return call(fmt.Sprint(9_999_999-i, "n"), pair{"authorization", strings.Repeat("token", 200)})
		}, calls / 8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, encoder := newRig(), newClient()
			made := map[*Fields]bool{}
			for i := range calls {
				head, err := r.decode(t, c.encode(encoder, c.fields(i)), 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				made[head.Fields] = true
			}
			t.Logf("%d the same, %d quick, %d in full", r.ways[0], r.ways[1], r.ways[2])
			if len(made) != c.lists || r.ways[2] > c.maxFull {
				t.Errorf("%d Fields, want %d; %d blocks in full, want at most %d", len(made), c.lists, r.ways[2], c.maxFull)
			}
		})
	}
}

// What Python's grpcio 1.85 sent in one connection: calls of two methods with and without timeout and metadata.
func TestGrpcio(t *testing.T) {
	file, err := os.ReadFile("testdata/grpcio-1.85.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig()
	var got []string
	for line := range strings.FieldsSeq(string(file)) {
		block, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		head, err := r.decode(t, block, 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		judged := []string{"odd", "plain", "extra"}[head.judgement()]
		summary := fmt.Sprintf("%d %s %v %v", head.Method, judged, head.Timeout, head.MinPosition)
		if len(got) == 0 || got[len(got)-1] != summary {
			got = append(got, summary)
		}
	}
	want := "7 plain 0s [], 7 plain 1.01s [], -1 plain 2.51s [], 7 plain 1.01s [1000], 7 plain 1.01s [1001], " +
		"7 plain 1.01s [1002], 7 extra 1.01s [], 7 plain 1m41s [], 7 plain 1m42s [], 7 plain 1m43s []"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
	if r.ways[0] < 5 || r.ways[1] < 5 {
		t.Errorf("%d the same, %d quick, %d in full", r.ways[0], r.ways[1], r.ways[2])
	}
}

func TestDecodeAllocatesNothingOnceWarm(t *testing.T) {
	const runs = 5000
	for name, encode := range map[string]func(*client, []pair) []byte{
		"everything enters the table": (*client).block, "literal path": (*client).literalPath,
	} {
		c, d := newClient(), NewDecoder(onlyHotPath)
		blocks := timeouts(runs+1000, func(f []pair) []byte { return encode(c, f) })
		for _, block := range blocks[:1000] { // until the table is full
			mustDecode(t, d, block)
		}
		i := 1000
		// All of them together: a mean would hide those of the calls in full.
		if n := testing.AllocsPerRun(1, func() {
			for range runs / 2 {
				if _, err := d.Decode(blocks[i], 1<<20); err != nil {
					t.Error(err)
				}
				i++
			}
		}); n != 0 {
			t.Errorf("%s, new timeouts: %v allocations in %d calls", name, n, runs/2)
		}
		block := encode(c, call(""))
		mustDecode(t, d, block)
		block = encode(c, call(""))
		mustDecode(t, d, block)
		mustDecode(t, d, block)
		if n := testing.AllocsPerRun(runs, func() { _, _ = d.Decode(block, 1<<20) }); n != 0 {
			t.Errorf("%s, the same block: %v allocations", name, n)
		}
		head, buffer := mustDecode(t, d, block), make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() { head.AppendBlock(buffer, time.Second); head.Metadata() }); n != 0 {
			t.Errorf("%s, AppendBlock and Metadata: %v allocations", name, n)
		}
	}
}

// A decoder keeps neither the block nor what Fields are made of.
func TestBlockIsNotKept(t *testing.T) {
	c, d := newClient(), NewDecoder(onlyHotPath)
	for i := range 200 {
		block := c.literalPath(call(fmt.Sprint(1000+i, "u"), pair{"traceparent", "p"}))
		head := mustDecode(t, d, block)
		before := show(head)
		for j := range block {
			block[j] = 0xff
		}
		if show(head) != before || !head.Plain {
			t.Fatalf("%d: %s was %s", i, show(head), before)
		}
	}
}

// Tokens have room for a certain number of entries; then they are counted anew, and nothing is mistaken for another.
func TestEntriesAreCountedAnew(t *testing.T) {
	for _, early := range []uint32{0, 1, 5, 100, 1000} {
		r, c := newRig(), newClient()
		r.d.table.last = maxSerial - early
		r.d.table.base -= early // places count modulo 2^32, and pass it here
		for i := range 2000 {
			fields := with(call(fmt.Sprint(9_999_999-i, "n")), ":path", fmt.Sprint("/a/", i%3))
			if _, err := r.decode(t, c.block(fields), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if r.d.table.last > 10_000 || r.ways[1] < 1000 {
			t.Errorf("%d: entry %d is the newest, %d quick", early, r.d.table.last, r.ways[1])
		}
	}
}

// A block of one-byte indexes must cost no more than its own bytes and the limit.
func TestHeaderListBomb(t *testing.T) {
	const limit = 16 << 10
	d := NewDecoder(onlyHotPath)
	mustDecode(t, d, appendString(append([]byte{incrementalBit, 1}, 'x'), strings.Repeat("v", 4000)))
	var bomb []byte
	for _, index := range []byte{16, 62} { // the static table's largest entry, and ours
		bomb = bytes.Repeat([]byte{indexedBit | index}, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		head, err := d.Decode(bomb, limit)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(head.AppendBlock(nil, -1)); !head.TooLong || n > limit+5000 {
			t.Errorf("index %d: %d bytes, %t", index, n, head.TooLong)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 6*limit {
			t.Errorf("index %d: %d bytes were allocated", index, n)
		}
	}
	// The table still follows what lies beyond the limit.
	late := append(bytes.Clone(bomb[:1000]), appendString(appendString([]byte{incrementalBit}, "y"), "1")...)
	if _, err := d.Decode(late, limit); err != nil {
		t.Fatal(err)
	}
	if md := mustDecode(t, d, []byte{indexedBit | 62}).Metadata(); len(md["y"]) != 1 {
		t.Errorf("the table lost an entry: %v", md)
	}
}

// What a peer may make a connection keep is bounded, whatever it sends.
func TestMemoryOfAConnection(t *testing.T) {
	kept := func(d *Decoder) int {
		n := cap(d.table.text) + len(d.table.ring)*16
		for _, s := range d.slots {
			n += 600 + s.bytes() + 8*cap(s.tokens) // 600: the slot itself and its Fields
		}
		return n
	}
	usual, c := NewDecoder(onlyHotPath), newClient()
	for _, block := range timeouts(1000, c.block) {
		mustDecode(t, usual, block)
	}
	t.Logf("a client of one method and its own deadline each call: %d bytes", kept(usual))
	if n := kept(usual); n > 3500 {
		t.Errorf("a usual client: %d bytes", n)
	}
	greedy, c := NewDecoder(onlyHotPath), newClient()
	for i := range 1000 {
		var fields []pair
		for j := range i % 40 {
			fields = append(fields, pair{fmt.Sprint("k", i, j), strings.Repeat("v", i%7*(1+j*j))})
		}
		mustDecode(t, greedy, c.block(fields))
		mustDecode(t, greedy, AppendField(nil, fmt.Sprint(i), strings.Repeat("v", 8*i)))
		if n := kept(greedy); n > 30<<10 {
			t.Fatalf("a greedy client: %d bytes", n)
		}
	}
	t.Logf("a greedy client: %d bytes", kept(greedy))
}

func TestWithoutSizeUpdates(t *testing.T) {
	for _, updates := range [][]uint32{{}, {0}, {0, 4096}, {30}, {31}, {1 << 30}} {
		var block []byte
		for _, size := range updates {
			block = appendInt(block, sizeUpdateBits, 5, int(size))
		}
		block = AppendField(block, "name", "value")
		fields, err := hpack.NewDecoder(0, nil).DecodeFull(WithoutSizeUpdates(block))
		if err != nil || len(fields) != 1 || fields[0] != (hpack.HeaderField{Name: "name", Value: "value"}) {
			t.Errorf("%v: %v, %v", updates, fields, err)
		}
	}
	if got := WithoutSizeUpdates([]byte{0x3f}); len(got) != 1 {
		t.Errorf("an update without an end was changed to %x", got)
	}
}
