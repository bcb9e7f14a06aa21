package h2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Blocks that nearly are what was seen, but where a way that looks at less than everything would go wrong.

func (r *rig) must(t *testing.T, block []byte, limit int) Head {
	t.Helper()
	head, err := r.decode(t, block, limit)
	if err != nil {
		t.Fatalf("block %x: %v", block, err)
	}
	return head
}

// The insertion of grpc-timeout evicts what the same block refers to afterwards: no client may do that.
func TestQuickKnowsWhatATimeoutEvicts(t *testing.T) {
	r := newRig()
	r.must(t, appendInt(nil, sizeUpdateBits, 5, 130), 1<<20)
	k := appendString(appendString([]byte{incrementalBit}, "k"), "v") // 34 bytes of the table; a timeout has 46
	timeout := func(value string, k byte) []byte {
		return append(appendString(appendString([]byte{incrementalBit}, timeoutName), value), indexedBit|k)
	}
	r.must(t, k, 1<<20)
	r.must(t, timeout("1S", 63), 1<<20)
	r.must(t, timeout("2S", 64), 1<<20)
	if r.ways[1] != 1 {
		t.Fatalf("quick was taken %d times", r.ways[1])
	}
	if _, err := r.decode(t, timeout("3S", 65), 1<<20); err != ErrIndex {
		t.Fatalf("got %v", err)
	}
}

// The same fields are too long with a longer timeout, or by another limit.
func TestShortWaysKnowTheLimit(t *testing.T) {
	list := func(timeout string) []pair { return []pair{{"a", "b"}, {timeoutName, timeout}} }
	const limit = 34 + 46
	r, c := newRig(), newClient()
	for range 2 {
		r.must(t, c.block(list("1S")), limit)
	}
	if head := r.must(t, c.block(list("10S")), limit); !head.TooLong {
		t.Error("a longer timeout is within the limit")
	}
	block := c.block(list("1S"))
	for range 2 {
		r.must(t, block, limit)
	}
	if r.ways[0] == 0 || r.ways[1] == 0 {
		t.Errorf("ways taken: %d", r.ways)
	}
	if head := r.must(t, block, limit-1); !head.TooLong {
		t.Error("a block that was seen is within a lower limit")
	}
}

// A change of the table's size alone may take away what a block refers to.
func TestSizeUpdateForgetsBlocks(t *testing.T) {
	r, c := newRig(), newClient()
	block := []byte(nil)
	for range 4 {
		block = c.block(call(""))
		r.must(t, block, 1<<20)
	}
	if r.ways[0] == 0 {
		t.Fatal("the block is not remembered")
	}
	r.must(t, []byte{sizeUpdateBits}, 1<<20)
	if _, err := r.decode(t, block, 1<<20); err != ErrIndex {
		t.Fatalf("got %v", err)
	}
}

// When entries are counted anew, numbers of slots of before mean other entries.
func TestCountingAnewForgetsSlots(t *testing.T) {
	r := newRig()
	field := func(value string) []byte { return appendString(appendString([]byte{incrementalBit}, "k"), value) }
	indexed := []byte{indexedBit | 62}
	r.must(t, field("first"), 1<<20)
	r.must(t, indexed, 1<<20)
	r.must(t, append([]byte{sizeUpdateBits, sizeUpdateBits | 31, 0xe1, 31}, field("other")...), 1<<20)
	r.d.table.last = maxSerial
	head := r.must(t, indexed, 1<<20)
	if got := head.Metadata()["k"]; len(got) != 1 || got[0] != "other" {
		t.Fatalf("got %q", got)
	}
	if r.d.table.last != 1 {
		t.Fatalf("entry %d is the newest of one", r.d.table.last)
	}
}

// Fields that were too long by one limit are not by another.
func TestTooLongIsForgotten(t *testing.T) {
	r := newRig()
	block := AppendField(AppendField(nil, "a", "b"), "c", "d")
	for _, limit := range []int{60, 60, 1 << 20, 60, 1 << 20} {
		if head := r.must(t, block, limit); head.TooLong != (limit == 60) {
			t.Errorf("limit %d: %t", limit, head.TooLong)
		}
	}
}

// Strings as long as the limit, and one byte longer.
func TestStringsAtTheLimit(t *testing.T) {
	const limit = 50
	for _, n := range []int{limit - 1, limit, limit + 1} {
		long := strings.Repeat("b", n)
		huffman := hpack.AppendHuffmanString(appendInt(nil, 0x80, 7, int(hpack.HuffmanEncodeLength(long))), long)
		for name, block := range map[string][]byte{
			"value":         AppendField(nil, "a", long),
			"name":          AppendField(nil, long, "a"),
			"Huffman value": append(appendString([]byte{0}, "a"), huffman...),
			"Huffman name":  appendString(append([]byte{incrementalBit}, huffman...), "a"),
		} {
			if _, err := newRig().decode(t, block, limit); (err != nil) != (n > limit) {
				t.Errorf("%s of %d: %v", name, n, err)
			}
		}
	}
}

// More lists than there are slots, none of which changes the table: a slot that changes hands forgets all that it had.
func TestSlotsChangeHands(t *testing.T) {
	r := newRig()
	for i := range 2000 {
		r.must(t, AppendField(AppendField(nil, "a", fmt.Sprint(i*i/3%23)), "grpc-timeout", fmt.Sprint(1+i%2, "S")), 1<<20)
	}
	if r.ways[0] == 0 || r.ways[1] == 0 || r.ways[2] < 100 {
		t.Errorf("ways taken: %d", r.ways)
	}
}

// Fields that come again stay, however many come once between them; but not for ever.
func TestFieldsThatComeAgainStay(t *testing.T) {
	d, c := NewDecoder(onlyHotPath), newClient()
	usual := mustDecode(t, d, c.block(call("1S")))
	mustDecode(t, d, c.block(call("2S")))
	for i := range 200 {
		mustDecode(t, d, c.block(call("1S", pair{"x-request-id", fmt.Sprint(i)})))
		if i%20 == 0 {
			if head := mustDecode(t, d, c.block(call(fmt.Sprint(i, "S")))); head.Fields != usual.Fields {
				t.Fatalf("after %d others the fields are made anew", i)
			}
		}
	}
	for i := range 2000 {
		mustDecode(t, d, c.block(call("1S", pair{"x-request-id", fmt.Sprint(i)})))
	}
	for _, s := range d.slots {
		if s.head.Fields == usual.Fields {
			t.Error("fields that come no more are still kept")
		}
	}
}

// Of two literals, each is compared with its own.
func TestEachLiteralIsCompared(t *testing.T) {
	r := newRig()
	list := func(first, second string) []byte { return AppendField(AppendField(nil, "k", first), "k", second) }
	for _, block := range [][]byte{list("a", "b"), list("a", "b"), list("a", "a"), list("b", "b"), list("b", "a")} {
		r.must(t, block, 1<<20)
	}
	if r.ways != [3]int{0, 1, 4} {
		t.Errorf("ways taken: %d", r.ways)
	}
}
