package h2

// intAt reads the integer at block[pos:], whose first byte has prefix bits of it (RFC 7541, section 5.1). It is refused as
// by x/net/http2/hpack: more than 9 further bytes are too many. next is 0 if there is none.
func intAt[S string | []byte](block S, pos int, prefix uint) (value uint64, next int) {
	if pos >= len(block) {
		return 0, 0
	}
	full := uint64(1)<<prefix - 1
	value = uint64(block[pos]) & full
	pos++
	if value < full {
		return value, pos
	}
	for shift := uint(0); shift < 63 && pos < len(block); shift += 7 {
		c := block[pos]
		pos++
		value += uint64(c&127) << shift
		if c < 128 {
			return value, pos
		}
	}
	return 0, 0
}

// stringAt finds the string at block[pos:] (section 5.2), still encoded. next is 0 if there is none.
func stringAt[S string | []byte](block S, pos int) (raw S, huffman bool, next int) {
	n, start := intAt(block, pos, 7)
	if start == 0 || n > uint64(len(block)-start) {
		return raw, false, 0
	}
	next = start + int(n)
	return block[start:next], block[pos]&128 != 0, next
}

// appendInt appends an integer, the first byte of which has prefix bits for it beside those of first.
func appendInt(b []byte, first byte, prefix uint, value int) []byte {
	full := 1<<prefix - 1
	if value < full {
		return append(b, first|byte(value))
	}
	b = append(b, first|byte(full))
	for value -= full; value >= 128; value >>= 7 {
		b = append(b, byte(value)|128)
	}
	return append(b, byte(value))
}

func appendString[S string | []byte](b []byte, s S) []byte {
	return append(appendInt(b, 0, 7, len(s)), s...)
}

// First bits of the representations of a field (section 6).
const (
	indexedBit     = 0x80
	incrementalBit = 0x40
	sizeUpdateBits = 0x20
)

// isSizeUpdate is true for the first byte of a change of the table's size.
func isSizeUpdate(first byte) bool { return first&0xe0 == sizeUpdateBits }

// AppendField appends a field to a header block that needs no dynamic table.
func AppendField(b []byte, name, value string) []byte {
	return appendString(appendString(append(b, 0), name), value)
}

// WithoutSizeUpdates is block without the changes of the dynamic table's size with which it may begin.
func WithoutSizeUpdates(block []byte) []byte {
	for len(block) > 0 && isSizeUpdate(block[0]) {
		_, next := intAt(block, 0, 5)
		if next == 0 {
			break
		}
		block = block[next:]
	}
	return block
}
