// Package packed keeps columns of integers in as few bits as the range of each block needs (frame of reference, as in
// Goldstein, Ramakrishnan and Shaft, "Compressing relations and indexes", 1998). A value is found without its
// neighbours. The bits are bytes of one slice, so the garbage collector has nothing to follow, and one unaligned load
// reads a value.
package packed

import (
	"encoding/binary"
	"math/bits"
)

// Block is the number of values that share a range. Only the last block of a column may be shorter.
const (
	BlockBits = 8
	Block     = 1 << BlockBits
)

const (
	// padding lets the last value be read by a load of 8 bytes.
	padding = 8
	// widest is the greatest width with which a value at any bit of a byte still ends inside 8 bytes. Wider values take
	// all 64 bits, and then begin at whole bytes.
	widest = 57
)

// head describes a block: its values are base + unit*(width bits).
type head struct {
	base, unit int64
	start      uint32 // the block's first byte
	width      uint8
}

// Column is a sequence of integers that never changes.
type Column struct {
	heads []head
	data  []byte
}

// Bytes returns the memory that the column takes.
func (c *Column) Bytes() int { return cap(c.heads)*headBytes + cap(c.data) }

const headBytes = 24

// At returns the value at an index.
func (c *Column) At(i int) int64 {
	h := &c.heads[i>>BlockBits]
	bit := uint(i%Block) * uint(h.width)
	raw := binary.LittleEndian.Uint64(c.data[uint(h.start)+bit>>3:]) >> (bit & 7) & (1<<h.width - 1)
	return h.base + int64(raw)*h.unit
}

// Read decodes the values [from, to), which must lie in one block, and returns the part of out that they fill.
func (c *Column) Read(from, to int, out *[Block]int64) []int64 {
	values := out[:to-from]
	if len(values) == 0 {
		return values
	}
	h := &c.heads[from>>BlockBits]
	base, unit, width := h.base, h.unit, uint(h.width)
	mask := uint64(1)<<width - 1
	data := c.data[h.start:]
	bit := uint(from%Block) * width
	for i := range values {
		raw := binary.LittleEndian.Uint64(data[bit>>3:]) >> (bit & 7) & mask
		values[i] = base + int64(raw)*unit
		bit += width
	}
	return values
}

// Sum adds up the values [from, to), which must lie in one block, and their absolute values. The sums must fit.
func (c *Column) Sum(from, to int) (net, gross int64) {
	if from == to {
		return 0, 0
	}
	h := &c.heads[from>>BlockBits]
	base, unit, width := h.base, h.unit, uint(h.width)
	mask := uint64(1)<<width - 1
	data := c.data[h.start:]
	bit := uint(from%Block) * width
	for range to - from {
		raw := binary.LittleEndian.Uint64(data[bit>>3:]) >> (bit & 7) & mask
		value := base + int64(raw)*unit
		sign := value >> 63
		net += value
		gross += (value ^ sign) - sign
		bit += width
	}
	return net, gross
}

// Search returns the first index from which on no value of an ascending column of n values is below the target. It
// starts at an index before which all values must be below the target.
func (c *Column) Search(from, n int, target int64) int {
	// The blocks [low, high) are the ones of which it is not known whether they begin below the target.
	low, high := from>>BlockBits, len(c.heads)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if c.heads[middle].base < target {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return from
	}
	first, end := max(from, (low-1)<<BlockBits), min(n, low<<BlockBits)
	for first < end {
		middle := int(uint(first+end) >> 1)
		if c.At(middle) < target {
			first = middle + 1
		} else {
			end = middle
		}
	}
	return first
}

// Builder makes a column, block by block. Its memory may be used again after Column.
type Builder struct {
	heads []head
	data  []byte
	used  int
}

// Reset forgets the blocks.
func (b *Builder) Reset() { b.heads, b.data, b.used = b.heads[:0], b.data[:0], 0 }

// Append adds a block of 1 to Block values. Each must differ from the least by a multiple of unit, which is positive.
func (b *Builder) Append(values []int64, unit int64) {
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	width := bits.Len64(uint64(most-least) / uint64(unit))
	if width > widest {
		width = 64
	}
	b.heads = append(b.heads, head{least, unit, uint32(b.used), uint8(width)})
	end := b.used + (len(values)*width+7)/8
	if need := end + padding - len(b.data); need > 0 {
		b.data = append(b.data, make([]byte, need)...)
	}
	if width > 0 {
		write(b.data[b.used:], values, least, unit, uint(width))
	}
	b.used = end
}

// write puts values one behind the other. Every store also writes zeros behind the value, which the next one replaces.
func write(data []byte, values []int64, least, unit int64, width uint) {
	var begun uint64 // the bits of the byte at which the next value begins
	at, bit := 0, uint(0)
	for _, v := range values {
		raw := uint64(v - least)
		if unit != 1 {
			raw /= uint64(unit)
		}
		begun |= raw << bit
		binary.LittleEndian.PutUint64(data[at:], begun)
		bit += width
		at += int(bit >> 3)
		begun >>= bit &^ 7
		bit &= 7
	}
}

// Column returns the column, in memory of its own and no more than it needs.
func (b *Builder) Column() Column {
	c := Column{make([]head, len(b.heads)), make([]byte, b.used+padding)}
	copy(c.heads, b.heads)
	copy(c.data, b.data[:b.used])
	return c
}

// UnitOf returns the greatest unit with which a block of ascending values can be appended. Ledgers with times of whole
// days or seconds have large ones.
func UnitOf(ascending []int64) int64 {
	var unit uint64
	for i := 1; i < len(ascending); i++ {
		if step := uint64(ascending[i] - ascending[i-1]); step != 0 && unit != 1 {
			unit = divisor(unit, step)
		}
	}
	return int64(max(unit, 1))
}

// divisor returns the greatest common divisor.
func divisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
