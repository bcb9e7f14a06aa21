package h2

// field is one field of a block. Its name is told by its kind or else is name.
type field struct {
	kind        kind
	name, value []byte
	static      int // index of the whole field in the static table, or 0
}

// listSize is what the field counts in a header list.
func (f *field) listSize() int {
	return entryOverhead + max(len(f.name), len(f.kind.name())) + len(f.value)
}

// maxLen is not less than what appendTo appends.
func (f *field) maxLen() int {
	return 16 + max(len(f.name), len(f.kind.name())) + len(f.value) // 16: three integers of up to 5 bytes, and one more
}

// appendTo appends the field as one of a block that needs no dynamic table.
func (f *field) appendTo(b []byte) []byte {
	if f.static != 0 {
		return append(b, indexedBit|byte(f.static))
	}
	if name, static := f.kind.names(); static != 0 {
		b = appendInt(b, 0, 4, static)
	} else if name != "" {
		b = appendString(append(b, 0), name)
	} else {
		b = appendString(append(b, 0), f.name)
	}
	return appendString(b, f.value)
}

// written is a field of a block that was written by appendTo.
type written struct {
	kind        kind
	name, value string
}

// nextWritten reads the first field of b and returns what follows it.
func nextWritten(b string) (f written, rest string) {
	if b[0]&indexedBit != 0 {
		index := int(b[0] &^ indexedBit)
		f.kind = staticKind(index)
		f.name, f.value = staticField(index)
		return f, b[1:]
	}
	index, pos := intAt(b, 0, 4)
	if index != 0 {
		f.kind = staticKind(int(index))
		f.name = f.kind.name()
	} else {
		f.name, _, pos = stringAt(b, pos)
		f.kind = kindOf(f.name)
	}
	f.value, _, pos = stringAt(b, pos)
	return f, b[pos:]
}
