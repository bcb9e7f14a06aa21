package h2

import "encoding/binary"

// appendHuffman appends what src encodes, at most limit bytes of it. It reports whether src is valid and no longer: it may
// end within a code only by less than 8 bits, all of them ones.
func appendHuffman(dst, src []byte, limit int) ([]byte, bool) {
	var bits uint64 // the next bits of input, from the highest on; ones beyond them
	var count uint  // how many of them are input
	bits = ^bits
	end := len(dst) + limit
	for {
		if count <= 32 {
			if len(src) >= 4 {
				next := uint64(binary.BigEndian.Uint32(src))
				bits = bits&^(uint64(1<<32-1)<<(32-count)) | next<<(32-count)
				src, count = src[4:], count+32
			} else {
				for ; len(src) > 0; src = src[1:] {
					bits = bits&^(0xff<<(56-count)) | uint64(src[0])<<(56-count)
					count += 8
				}
			}
		}
		symbol, length := shortSymbols[bits>>56], uint(shortLengths[bits>>56])
		if length == 0 {
			symbol, length = longCode(uint32(bits >> 32))
		}
		if length == 0 || length > count {
			// What is left is the end of src, since any code fits into 32 bits.
			return dst, count < 8 && bits == ^uint64(0)
		}
		if len(dst) == end {
			return dst, false
		}
		dst = append(dst, symbol)
		bits = bits<<length | (1<<length - 1)
		count -= length
	}
}
