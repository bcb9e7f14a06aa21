package h2

// glance is what a first look at a block finds, without a change of the table.
type glance struct {
	sketch
	head Head // its timeout
	// insert is true if grpc-timeout is to enter the table, which then keeps left entries of those that it has.
	insert bool
	left   int
}

// quick decodes a block whose fields but grpc-timeout are remembered. Otherwise it changes nothing and returns false.
func (d *Decoder) quick(block []byte, maxListBytes int) (Head, bool) {
	if len(d.slots) == 0 {
		return Head{}, false
	}
	var g glance
	g.left = d.table.count
	for pos := 0; pos < len(block); {
		if g.n == maxTokens {
			return Head{}, false
		}
		if pos = d.look(&g, block, pos); pos == 0 {
			return Head{}, false
		}
	}
	s := d.find(&g.sketch, block)
	if s == nil {
		return Head{}, false
	}
	g.head.Fields = s.head.Fields
	if !g.head.fits(maxListBytes) {
		return Head{}, false
	}
	d.use(s)
	if g.insert {
		d.table.insert(timeout, nil, g.head.text[:g.head.textLen])
	} else if len(block) <= maxSameBlock {
		s.head = g.head
		s.block = append(s.block[:0], block...)
		s.changes = d.table.changes
	}
	return g.head, true
}

// maxSameBlock is the length of a block that is worth remembering as a whole.
const maxSameBlock = 512

// look reads one field and returns where the next begins, or 0 if the block needs to be decoded in full.
func (d *Decoder) look(g *glance, block []byte, pos int) int {
	first := block[pos]
	if first&indexedBit != 0 {
		index, next := uint64(first&127), pos+1
		if index == 127 {
			index, next = intAt(block, pos, 7)
		}
		id, e := d.idOf(g, index)
		if e != nil && e.kind == timeout {
			_, value := d.table.strings(e)
			return g.timeout(value, next)
		}
		if id == 0 {
			return 0
		}
		g.add(token{id: id}, 0)
		return next
	}
	if isSizeUpdate(first) {
		return 0
	}
	prefix := uint(4)
	if first&incrementalBit != 0 {
		prefix = 6
	}
	index, start := intAt(block, pos, prefix)
	if start == 0 {
		return 0
	}
	var id uint32
	next, isTimeout := start, false
	if index == 0 {
		var name []byte
		if name, _, next = stringAt(block, start); next == 0 {
			return 0
		}
		isTimeout = string(name) == timeoutName || string(name) == timeoutHuffman
	} else {
		var e *entry
		if id, e = d.idOf(g, index); id == 0 {
			return 0
		}
		isTimeout = e != nil && e.kind == timeout
	}
	value, huffman, next := stringAt(block, next)
	if next == 0 || prefix == 6 && (g.insert || !isTimeout) {
		return 0
	}
	if isTimeout {
		return d.lookTimeout(g, value, huffman, prefix == 6, next)
	}
	g.add(token{id: id | literalToken, literal: uint32(next - start)}, start)
	return next
}

// lookTimeout takes a grpc-timeout that is a literal, and if it is to enter the table, works out what must leave.
func (d *Decoder) lookTimeout(g *glance, value []byte, huffman, insert bool, next int) int {
	if huffman {
		var text [maxTimeoutLen]byte
		var ok bool
		if value, ok = appendHuffman(text[:0], value, len(text)); !ok {
			return 0
		}
	}
	if insert {
		size := uint32(entryOverhead + len(timeoutName) + len(value))
		if size > d.table.max {
			return 0
		}
		g.insert = true
		g.left -= d.table.surplus(size)
	}
	return g.timeout(value, next)
}

// timeout takes the text of the only grpc-timeout.
func (g *glance) timeout(text []byte, next int) int {
	if g.head.HasTimeout || !g.head.setTimeout(text) {
		return 0
	}
	g.add(token{id: timeoutToken}, 0)
	return next
}

// idOf is the id of an index as a token has it, or 0, and the entry if it is a dynamic one.
func (d *Decoder) idOf(g *glance, index uint64) (uint32, *entry) {
	if index <= staticLen {
		return uint32(index), nil
	}
	index -= staticLen + 1
	if g.insert {
		// 0 is the timeout that is to be inserted. A second one is left to the full way.
		if index == 0 {
			return 0, nil
		}
		index--
	}
	if index >= uint64(g.left) {
		return 0, nil
	}
	return staticLen + d.table.last - uint32(index), d.table.at(int(index))
}

// find returns the slot of fields that were written in the same way.
func (d *Decoder) find(how *sketch, block []byte) *slot {
	for _, s := range d.slots {
		if how.matches(block, s) {
			return s
		}
	}
	return nil
}
