package h2

// reading decodes one block in full.
type reading struct {
	d        *Decoder
	block    []byte
	pos      int
	limit    int // of the header list
	list     int
	trailers int  // what fields named trailer count
	tooLong  bool // fields are decoded still, since they change the table, but no longer kept

	head      Head
	timeoutAt int
	badly     bool // grpc-timeout is malformed, or there are several

	out  buffer // the fields but grpc-timeout, as appendTo writes them
	how  sketch // how they were written
	text buffer // the strings of one field
}

// full decodes a block in every detail.
func (d *Decoder) full(block []byte, maxListBytes int) (Head, error) {
	r := reading{d: d, block: block, limit: maxListBytes, timeoutAt: -1}
	if err := r.sizeUpdates(); err != nil {
		return Head{}, err
	}
	for r.pos < len(block) {
		if err := r.field(); err != nil {
			return Head{}, err
		}
	}
	if r.tooLong {
		r.restoreTimeout()
	}
	return r.finish(), nil
}

// sizeUpdates reads the changes of the table's size, which may only be where a block begins (section 4.2).
func (r *reading) sizeUpdates() error {
	for r.pos < len(r.block) && isSizeUpdate(r.block[r.pos]) {
		size, next := intAt(r.block, r.pos, 5)
		if next == 0 {
			return ErrTruncated
		}
		if size > uint64(r.d.limit) {
			return ErrTableSize
		}
		r.d.table.resize(uint32(size))
		r.d.lowered = false
		r.pos = next
	}
	if r.d.lowered {
		return ErrTableSize // RFC 9113, section 4.3.1
	}
	return nil
}

// field reads one representation of a field.
func (r *reading) field() error {
	r.text.n = 0
	first := r.block[r.pos]
	switch {
	case first&indexedBit != 0:
		return r.indexed()
	case first&incrementalBit != 0:
		return r.literal(6, true)
	case isSizeUpdate(first):
		return ErrLateTableSize
	default: // without indexing, or never
		return r.literal(4, false)
	}
}

func (r *reading) indexed() error {
	index, next := intAt(r.block, r.pos, 7)
	if next == 0 {
		return ErrTruncated
	}
	f, id, err := r.entry(index)
	if err != nil {
		return err
	}
	if index <= staticLen {
		f.static = int(index)
	}
	r.pos = next
	r.take(&f, token{id: id}, 0)
	return nil
}

// entry is the field of an index, and its id in a token. Its strings are valid until the table's next change.
func (r *reading) entry(index uint64) (f field, id uint32, err error) {
	if index == 0 {
		return f, 0, ErrIndex
	}
	if index <= staticLen {
		name, value := staticField(int(index))
		f.kind = staticKind(int(index))
		f.name = hold(&r.text, name)
		f.value = hold(&r.text, value)
		return f, uint32(index), nil
	}
	index -= staticLen + 1
	t := &r.d.table
	if index >= uint64(t.count) {
		return f, 0, ErrIndex
	}
	e := t.at(int(index))
	f.kind = e.kind
	f.name, f.value = t.strings(e)
	return f, staticLen + t.last - uint32(index), nil
}

func (r *reading) literal(prefix uint, insert bool) error {
	index, next := intAt(r.block, r.pos, prefix)
	if next == 0 {
		return ErrTruncated
	}
	start := next
	var f field
	var id uint32
	var err error
	if index != 0 {
		if f, id, err = r.entry(index); err != nil {
			return err
		}
		if insert { // the entry may be evicted by it
			f.name = hold(&r.text, f.name)
		}
	} else {
		if f.name, next, err = r.string(next); err != nil {
			return err
		}
		f.kind = kindOf(f.name)
	}
	if f.value, next, err = r.string(next); err != nil {
		return err
	}
	r.pos = next
	if !insert {
		r.take(&f, token{id: id | literalToken, literal: uint32(next - start)}, start)
		return nil
	}
	r.d.table.insert(f.kind, f.name, f.value)
	r.take(&f, token{id: staticLen + r.d.table.last}, 0)
	return nil
}

// string decodes the string at pos. It stays valid while the field is read.
func (r *reading) string(pos int) (s []byte, next int, err error) {
	raw, huffman, next := stringAt(r.block, pos)
	if next == 0 {
		return nil, 0, ErrTruncated
	}
	if len(raw) > r.limit {
		return nil, 0, ErrStringLength
	}
	if !huffman {
		return raw, next, nil
	}
	text, ok := appendHuffman(r.text.room(len(raw)*8/5+1), raw, r.limit) // no code is shorter than 5 bits
	if !ok {
		return nil, 0, ErrHuffman
	}
	r.text.taken(len(text))
	return text, next, nil
}

// take adds a field to the block.
func (r *reading) take(f *field, t token, start int) {
	if r.tooLong {
		return
	}
	r.count(f)
	if f.kind == timeout {
		if !r.badly && r.timeoutAt < 0 && r.head.setTimeout(f.value) {
			r.timeoutAt = r.out.n
			r.how.add(token{id: timeoutToken}, 0)
			return
		}
		r.restoreTimeout()
		r.badly = true
	}
	r.put(f)
	r.how.add(t, start)
}

func (r *reading) put(f *field) {
	r.out.taken(len(f.appendTo(r.out.room(f.maxLen()))))
}

// count adds to the list's length. Newer x/net/http2 has a limit of its own for trailer, older has not; the list is only
// called too long if it is for both. Otherwise one of them might take a list of which we have left out the end.
func (r *reading) count(f *field) {
	n := f.listSize()
	if f.kind == special && string(f.name) == "trailer" {
		names := 1
		for _, c := range f.value {
			if c == ',' {
				names++
			}
		}
		r.trailers += min(n, len(f.value)-(names-1)+names*entryOverhead)
	} else {
		r.list += n
	}
	r.tooLong = r.list > r.limit || r.trailers > r.limit
}

// restoreTimeout makes grpc-timeout a field like any other.
func (r *reading) restoreTimeout() {
	if r.timeoutAt < 0 {
		return
	}
	tail := string(r.out.bytes()[r.timeoutAt:])
	r.out.n = r.timeoutAt
	f := field{kind: timeout, value: r.head.text[:r.head.textLen]}
	r.put(&f)
	hold(&r.out, tail)
	r.head, r.timeoutAt = Head{}, -1
}

// finish finds the fields among those that are remembered, or makes them.
func (r *reading) finish() Head {
	quick := r.how.n <= maxTokens && !r.badly && !r.tooLong
	for _, s := range r.d.slots {
		if quick && s.head.timeoutAt == r.timeoutAt && s.head.block == string(r.out.bytes()) {
			s.learn(&r.how, r.block)
			r.head.Fields = s.head.Fields
			r.d.use(s)
			return r.head
		}
	}
	r.head.Fields = newFields(string(r.out.bytes()), r.timeoutAt, r.d.paths)
	r.head.TooLong = r.tooLong
	if r.tooLong {
		r.head.Plain, r.head.Extra = false, false
	}
	r.head.list = r.listWithoutTimeout()
	if quick {
		r.d.keep(r.head, &r.how, r.block)
	}
	return r.head
}

func (r *reading) listWithoutTimeout() int {
	n := r.list + r.trailers
	if r.head.HasTimeout {
		n -= entryOverhead + len(timeoutName) + int(r.head.textLen)
	}
	return n
}
