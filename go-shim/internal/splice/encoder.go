package splice

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/h2"
)

const (
	// defaultTable is the size of a client's header table until it says otherwise.
	defaultTable = 4096
	// The entries that the door puts into the client's table, once each.
	contentTypeEntry = 32 + len("content-type") + len("application/grpc")
	statusEntry      = 32 + len("grpc-status") + len("0")
	bothEntries      = uint32(contentTypeEntry + statusEntry)
	// Lengths of header lists as SETTINGS_MAX_HEADER_LIST_SIZE counts them.
	headList  = 32 + len(":status") + len("200") + contentTypeEntry
	protoList = len("+proto")
	// positionList is for a position of any length.
	positionList = 32 + len(positionKey) + 20
	// firstDynamic is the index of the newest entry of the table.
	firstDynamic = 62
	positionKey  = "x-hotpath-position"
)

// encoder writes the header blocks towards a client. It alone knows the client's table: grpc-go's blocks use none. It puts
// two entries there at most, the content type and the status of success; then a reply's headers are two bytes and its
// trailers one.
type encoder struct {
	size uint32 // as the client's decoder has it
	// lowered is true if the client must be told the size with the next block, because it wants a smaller table.
	lowered bool
	// Places of the entries: 0 if absent, else the number of entries at the time when it was added.
	contentType, status, entries byte
}

func newEncoder() encoder { return encoder{size: defaultTable} }

// limit is the client's SETTINGS_HEADER_TABLE_SIZE. A larger table than it had is of no use here. One that is too small
// for both entries is not used any more.
func (e *encoder) limit(size uint32) {
	if size >= e.size {
		return
	}
	e.size, e.lowered = size, true
	if size < bothEntries {
		*e = encoder{lowered: true}
	}
}

// begin is the first step of each block.
func (e *encoder) begin(b []byte) []byte {
	if !e.lowered {
		return b
	}
	e.lowered = false
	const mask = 31 // a prefix of 5 bits
	if e.size < mask {
		return append(b, 0x20|byte(e.size))
	}
	b = append(b, 0x20|mask)
	n := e.size - mask
	for ; n >= 128; n >>= 7 {
		b = append(b, 0x80|byte(n))
	}
	return append(b, byte(n))
}

// head begins the block of a reply's headers.
func (e *encoder) head(b []byte, protoType bool) []byte {
	b = append(e.begin(b), 0x88) // :status 200
	switch {
	case protoType:
		return h2.AppendField(b, "content-type", "application/grpc+proto")
	case e.contentType != 0:
		return append(b, 0x80|e.index(e.contentType))
	case e.size < bothEntries:
		return h2.AppendField(b, "content-type", "application/grpc")
	}
	e.entries++
	e.contentType = e.entries
	const name = 0x40 | 31 // the static table's content-type, to be indexed
	return append(append(b, name, byte(len("application/grpc"))), "application/grpc"...)
}

// ok is the block of the trailers of success.
func (e *encoder) ok(b []byte) []byte {
	b = e.begin(b)
	switch {
	case e.status != 0:
		return append(b, 0x80|e.index(e.status))
	case e.size < bothEntries:
		return h2.AppendField(b, "grpc-status", "0")
	}
	e.entries++
	e.status = e.entries
	b = append(append(b, 0x40, byte(len("grpc-status"))), "grpc-status"...)
	return append(b, 1, '0')
}

func (e *encoder) index(place byte) byte { return firstDynamic + e.entries - place }

func appendPosition(b []byte, position uint64) []byte {
	return h2.AppendField(b, positionKey, strconv.FormatUint(position, 10))
}

// appendStatus appends a status as grpc-go's server does, and returns the length of the list.
func appendStatus(b []byte, st *spb.Status) ([]byte, int) {
	code, message := strconv.Itoa(int(st.GetCode())), percentEncode(st.GetMessage())
	list := 2*32 + len("grpc-status") + len(code) + len("grpc-message") + len(message)
	b = h2.AppendField(b, "grpc-status", code)
	b = h2.AppendField(b, "grpc-message", message)
	if len(st.GetDetails()) > 0 {
		if encoded, err := proto.Marshal(st); err == nil {
			text := base64.RawStdEncoding.EncodeToString(encoded)
			list += 32 + len(detailsKey) + len(text)
			b = h2.AppendField(b, detailsKey, text)
		}
	}
	return b, list
}

// percentEncode is what grpc-go makes of the text of a status: all but printable ASCII is escaped, as is the percent sign,
// and what is no UTF-8 becomes the replacement character.
func percentEncode(text string) string {
	plain := func(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }
	odd := 0
	for odd < len(text) && plain(text[odd]) {
		odd++
	}
	if odd == len(text) {
		return text
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(text[:odd])
	for text = text[odd:]; len(text) > 0; {
		r, size := utf8.DecodeRuneInString(text)
		for _, c := range []byte(string(r)) {
			if size == 1 && plain(c) {
				b.WriteByte(c)
			} else {
				b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			}
		}
		text = text[size:]
	}
	return b.String()
}
