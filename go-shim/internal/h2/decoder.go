package h2

import "bytes"

// Decoder reads the header blocks of one connection's client. The blocks must come whole and in their order, those of
// trailers and of refused streams too: each may change the table.
//
// A block takes the first of three ways that it can:
//
//	same    its bytes were seen since the table changed last: one comparison
//	quick   it differs from one that was seen by its grpc-timeout only, which may enter the table: each field is compared
//	        by the number of its table entry, or by its bytes, and no string but the timeout is decoded
//	full    every field is decoded; if they are equal to fields that are remembered, those are shared
//
// The first two know no errors: whatever is odd is left to the third, before anything was changed.
type Decoder struct {
	paths func(path []byte) int
	table table
	limit uint32 // what the table's size may be set to
	// lowered is true from a lowering of limit below the table's size until the client has followed, as it must do at once.
	lowered bool
	slots   []*slot
	uses    uint64
}

const defaultTableSize = 4096

// NewDecoder returns a decoder whose table may have 4096 bytes. paths returns the index of the hot method of that :path,
// or -1, and must not keep path; it is called when Fields are made, not for every call.
func NewDecoder(paths func(path []byte) int) *Decoder {
	return &Decoder{paths: paths, table: table{max: defaultTableSize}, limit: defaultTableSize}
}

// SetLimit says what SETTINGS_HEADER_TABLE_SIZE the client was told, once it has acknowledged it.
func (d *Decoder) SetLimit(tableBytes uint32) {
	d.limit = tableBytes
	d.lowered = tableBytes < d.table.max
}

// Decode reads a block. maxListBytes is the limit of the list as SETTINGS_MAX_HEADER_LIST_SIZE counts it; also no string
// may be longer. The error is a *Error, and ends the connection. block is not kept.
func (d *Decoder) Decode(block []byte, maxListBytes int) (Head, error) {
	if d.table.last >= maxSerial { // tokens have no room for more
		d.slots, d.table.last = nil, uint32(d.table.count)
	}
	if !d.lowered {
		if head, ok := d.same(block, maxListBytes); ok {
			return head, nil
		}
		if head, ok := d.quick(block, maxListBytes); ok {
			return head, nil
		}
	}
	return d.full(block, maxListBytes)
}

// same decodes a block that is remembered as a whole.
func (d *Decoder) same(block []byte, maxListBytes int) (Head, bool) {
	for _, s := range d.slots {
		if s.changes == d.table.changes && len(s.block) > 0 && bytes.Equal(s.block, block) && s.head.fits(maxListBytes) {
			d.use(s)
			return s.head, true
		}
	}
	return Head{}, false
}

// fits is true if the fields, with that timeout, are no longer than the limit.
func (h *Head) fits(maxListBytes int) bool {
	n := h.list
	if h.HasTimeout {
		n += entryOverhead + len(timeoutName) + int(h.textLen)
	}
	return n <= maxListBytes
}
