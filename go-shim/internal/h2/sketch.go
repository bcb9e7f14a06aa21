package h2

import "bytes"

const (
	maxTokens = 24
	maxSerial = 1 << 30
)

// token is how a client wrote one field of a block. Two blocks of equal tokens, and of equal bytes where these are
// literals, have the same fields, whatever happened to the table in between.
type token struct {
	// id is the index of a static entry; staticLen and the serial number of a dynamic one; or timeoutToken. If the value
	// is a literal, literalToken is added, and the id is that of the name, or 0 if that is a literal too.
	id uint32
	// literal is the number of bytes that follow the index.
	literal uint32
}

const (
	literalToken = 1 << 31
	timeoutToken = literalToken - 1
)

// sketch is how a client wrote a block. One of more than maxTokens fields has none: then n is more than that.
type sketch struct {
	tokens [maxTokens]token
	starts [maxTokens]int32 // where in the block a token's literal begins
	n      int
}

func (s *sketch) add(t token, start int) {
	if s.n < maxTokens {
		s.tokens[s.n], s.starts[s.n] = t, int32(start)
	}
	s.n++
}

// matches is true for a block that is written like that of the slot.
func (s *sketch) matches(block []byte, known *slot) bool {
	if len(known.tokens) != s.n {
		return false
	}
	raw := known.raw
	for i, t := range known.tokens {
		if t != s.tokens[i] {
			return false
		}
		if t.literal != 0 {
			if !bytes.Equal(raw[:t.literal], block[s.starts[i]:][:t.literal]) {
				return false
			}
			raw = raw[t.literal:]
		}
	}
	return true
}

// buffer holds bytes for the time of one call. It may lie on the stack, since nobody keeps a part of it.
type buffer struct {
	small [512]byte
	large []byte // instead of small, if that is full
	n     int
}

func (b *buffer) bytes() []byte {
	if b.large != nil {
		return b.large[:b.n]
	}
	return b.small[:b.n]
}

// room returns an empty slice behind what is held, to which n bytes can be appended in place; taken then says how many
// were. What was held before stays as it is.
func (b *buffer) room(n int) []byte {
	if b.large == nil && b.n+n <= len(b.small) {
		return b.small[b.n:b.n]
	}
	if b.n+n > cap(b.large) {
		large := make([]byte, b.n, 2*(b.n+n))
		copy(large, b.bytes())
		b.large = large
	}
	return b.large[b.n:b.n]
}

func (b *buffer) taken(n int) { b.n += n }

// hold adds s, and returns it as it is held.
func hold[S string | []byte](b *buffer, s S) []byte {
	held := append(b.room(len(s)), s...)
	b.taken(len(s))
	return held
}
