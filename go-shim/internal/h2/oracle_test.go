package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// oracle is x/net's decoder with the RFC's rules for sizes of the table, two of which x/net doesn't know: several changes
// may begin a block though the table has entries, and none may come later though it has none.
type oracle struct {
	decoder *hpack.Decoder
	limit   uint32
	size    uint32
	lowered bool
}

func newOracle() *oracle {
	return &oracle{hpack.NewDecoder(defaultTableSize, func(hpack.HeaderField) {}), defaultTableSize, defaultTableSize, false}
}

func (o *oracle) setLimit(n uint32) { o.limit, o.lowered = n, n < o.size }

func (o *oracle) decode(block []byte, limit int) ([]hpack.HeaderField, error) {
	for len(block) > 0 && isSizeUpdate(block[0]) {
		size, next := intAt(block, 0, 5)
		if next == 0 || size > uint64(o.limit) {
			return nil, ErrTableSize
		}
		o.size, o.lowered = uint32(size), false
		o.decoder.SetMaxDynamicTableSize(o.size)
		block = block[next:]
	}
	if o.lowered {
		return nil, ErrTableSize
	}
	for pos := 0; pos < len(block); {
		if isSizeUpdate(block[pos]) {
			return nil, ErrLateTableSize
		}
		if pos = skipField(block, pos); pos == 0 {
			break
		}
	}
	o.decoder.SetMaxStringLength(limit)
	return o.decoder.DecodeFull(block)
}

// skipField returns where the next field begins, or 0.
func skipField(block []byte, pos int) int {
	prefix := uint(4)
	switch first := block[pos]; {
	case first >= 128:
		_, next := intAt(block, pos, 7)
		return next
	case first >= 64:
		prefix = 6
	}
	index, next := intAt(block, pos, prefix)
	if next != 0 && index == 0 {
		_, _, next = stringAt(block, next)
	}
	if next != 0 {
		_, _, next = stringAt(block, next)
	}
	return next
}

// cut are the fields that a list of that limit shows: up to and with the first that exceeds it. x/net of grpc-go 1.66 and
// of today count trailer differently, so a list is too long if it is for both.
func cut(fields []hpack.HeaderField, limit int) ([]hpack.HeaderField, bool) {
	plain, trailers := 0, 0
	for i, f := range fields {
		if f.Name == "trailer" {
			names := bytes.Count([]byte(f.Value), []byte(",")) + 1
			trailers += min(int(f.Size()), len(f.Value)-names+1+32*names)
		} else {
			plain += int(f.Size())
		}
		if plain > limit || trailers > limit {
			return fields[:i+1], true
		}
	}
	return fields, false
}

// reencoded are the fields of a head's block, which must need no table.
func reencoded(t *testing.T, head Head) []hpack.HeaderField {
	t.Helper()
	decoder := hpack.NewDecoder(0, nil)
	fields, err := decoder.DecodeFull(head.AppendBlock(nil, -1))
	if err != nil {
		t.Fatalf("AppendBlock: %v", err)
	}
	return fields
}

// rig decodes the same blocks by x/net, by Decoder, and by one that always takes the full way.
type rig struct {
	oracle *oracle
	d      *Decoder
	full   *Decoder
	ways   [3]int // how often each way was taken: same, quick, full
}

func newRig() *rig {
	return &rig{oracle: newOracle(), d: NewDecoder(onlyHotPath), full: NewDecoder(onlyHotPath)}
}

func (r *rig) setLimit(n uint32) {
	r.oracle.setLimit(n)
	r.d.SetLimit(n)
	r.full.SetLimit(n)
}

func (r *rig) way(block []byte, limit int) int {
	if r.d.lowered {
		return 2
	}
	if _, ok := r.d.same(block, limit); ok {
		return 0
	}
	// A quick decoding changes nothing if it is none, so a copy shows what it would be.
	d := *r.d
	d.table.ring, d.table.text = slices.Clone(d.table.ring), slices.Clone(d.table.text)
	slots := make([]*slot, len(d.slots))
	for i, s := range d.slots {
		c := *s
		c.block, c.raw = slices.Clone(s.block), slices.Clone(s.raw)
		slots[i] = &c
	}
	d.slots = slots
	if _, ok := d.quick(block, limit); ok {
		return 1
	}
	return 2
}

func (r *rig) decode(t *testing.T, block []byte, limit int) (Head, error) {
	t.Helper()
	want, wantErr := r.oracle.decode(block, limit)
	r.ways[r.way(block, limit)]++
	before := bytes.Clone(block)
	head, err := r.d.Decode(block, limit)
	if !bytes.Equal(before, block) {
		t.Fatalf("block %x was changed to %x", before, block)
	}
	r.full.slots = nil
	fullHead, fullErr := r.full.Decode(block, limit)
	if (err == nil) != (wantErr == nil) || err != fullErr {
		t.Fatalf("block %x: got %v, by the full way %v, want %v", block, err, fullErr, wantErr)
	}
	if err != nil {
		return head, err
	}
	want, tooLong := cut(want, limit)
	if got := reencoded(t, head); !equalFields(got, want) || head.TooLong != tooLong {
		t.Fatalf("block %x:\ngot  %v, %t\nwant %v, %t", block, got, head.TooLong, want, tooLong)
	}
	if got, want := show(head), show(fullHead); got != want {
		t.Fatalf("block %x:\ngot          %s\nthe full way %s", block, got, want)
	}
	r.checkTable(t)
	return head, nil
}

func equalFields(a, b []hpack.HeaderField) bool {
	return slices.EqualFunc(a, b, func(a, b hpack.HeaderField) bool { return a.Name == b.Name && a.Value == b.Value })
}

func show(h Head) string {
	return fmt.Sprint(h.Timeout, h.HasTimeout, h.Method, h.Plain, h.Extra, h.Proto, h.TooLong, h.list, h.timeoutAt,
		h.MinPosition, h.AtPosition, h.Position, h.Traceparent, h.Tracestate, h.TraceBin, h.Metadata())
}

// checkTable tells whether the table keeps its own books, and no more memory than its entries justify.
func (r *rig) checkTable(t *testing.T) {
	t.Helper()
	table := &r.d.table
	used := uint32(0)
	for i := range table.count {
		e := table.at(i)
		used += e.size()
		name, value := table.strings(e)
		if e.kind.stored() && kindOf(name) != e.kind || len(value) != int(e.valueLen) {
			t.Fatalf("entry %d of kind %d: %q %q", i, e.kind, name, value)
		}
	}
	if used != table.used || used > table.max {
		t.Fatalf("%d bytes are used, not %d of %d", used, table.used, table.max)
	}
	if most := max(defaultTableSize, int(r.d.limit)); cap(table.text) > 2*most+littleText || len(table.ring) > most/entryOverhead {
		t.Fatalf("%d bytes of text, %d entries for a table of %d", cap(table.text), len(table.ring), most)
	}
}

// writer makes random blocks of which most can be decoded, and many resemble earlier ones.
type writer struct {
	*rand.Rand
	earlier [][]byte
}

func (w *writer) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w *writer) name() string {
	return w.pick(":path", "grpc-timeout", "grpc-timeout", "content-type", "te", "x", "x-hotpath-min-position", "user-agent",
		"authorization", "trailer", "grpc-trace-bin", "X", "", "custom-bin")
}

func (w *writer) value() string {
	return w.pick(hotPath, "1S", "20m", fmt.Sprint(w.IntN(1000), "u"), "", "application/grpc", "trailers", "a,b,c",
		string(bytes.Repeat([]byte{'v'}, w.IntN(100)*(1+w.IntN(10)/9*4))), "\x00\xff", "AAE")
}

func (w *writer) string(b []byte, s string) []byte {
	if w.IntN(2) == 0 {
		return appendString(b, s)
	}
	return hpack.AppendHuffmanString(appendInt(b, 0x80, 7, int(hpack.HuffmanEncodeLength(s))), s)
}

func (w *writer) field(b []byte, table int) []byte {
	index := 1 + w.IntN(staticLen+table+w.IntN(50)/49)/(1+w.IntN(2))
	switch w.IntN(8) {
	case 0, 1, 2, 3:
		return appendInt(b, indexedBit, 7, index)
	case 4:
		return w.string(appendInt(b, incrementalBit, 6, index), w.value())
	case 5:
		return w.string(w.string(append(b, incrementalBit), w.name()), w.value())
	case 6:
		return w.string(appendInt(b, byte(w.IntN(2)<<4), 4, index), w.value())
	default:
		return w.string(w.string(append(b, byte(w.IntN(2)<<4)), w.name()), w.value())
	}
}

func (w *writer) block(d *Decoder) []byte {
	var b []byte
	if d.lowered && w.IntN(10) > 0 {
		b = appendInt(b, sizeUpdateBits, 5, w.IntN(int(d.limit)+1))
	} else if len(w.earlier) > 0 && w.IntN(4) > 0 {
		b = bytes.Clone(w.earlier[max(0, len(w.earlier)-1-w.IntN(3))])
	} else {
		for range w.IntN(3) / 2 * (1 + w.IntN(2)) {
			b = appendInt(b, sizeUpdateBits, 5, w.IntN(int(d.limit)+1+w.IntN(2)))
		}
		for range w.IntN(8) {
			b = w.field(b, d.table.count)
		}
	}
	switch w.IntN(80) {
	case 0:
		if len(b) > 0 {
			b[w.IntN(len(b))] = byte(w.Uint32())
		}
	case 1:
		b = b[:w.IntN(len(b)+1)]
	case 2:
		b = appendInt(b, sizeUpdateBits, 5, w.IntN(100))
	case 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14:
		b = w.string(w.string(append(b, incrementalBit), "grpc-timeout"), fmt.Sprint(w.IntN(1e6), "u"))
	}
	w.earlier = append(w.earlier, b)
	return b
}

// Random blocks, sizes and limits; each way must be taken, and blocks of every kind refused.
func TestBlocksAreDecodedAsByXNet(t *testing.T) {
	var ways [3]int
	refused := map[error]int{}
	for seed := range uint64(1000) {
		r, w := newRig(), &writer{Rand: rand.New(rand.NewPCG(seed, 5))}
		limit := []int{1 << 20, 1 << 20, 1 << 20, 400}[w.IntN(4)]
		for range 60 {
			if w.IntN(30) == 0 {
				r.setLimit(uint32(w.IntN(300) * (1 + w.IntN(20))))
			}
			if _, err := r.decode(t, w.block(r.d), limit); err != nil {
				refused[err]++
				break
			}
		}
		for i, n := range r.ways {
			ways[i] += n
		}
	}
	t.Logf("%d the same, %d quick, %d in full; refused: %v", ways[0], ways[1], ways[2], refused)
	for way, n := range ways {
		if n < 500 {
			t.Errorf("way %d was taken %d times", way, n)
		}
	}
	for _, err := range []error{ErrTruncated, ErrIndex, ErrTableSize, ErrLateTableSize, ErrStringLength, ErrHuffman} {
		if refused[err] == 0 {
			t.Errorf("no block was refused for %v", err)
		}
	}
}
