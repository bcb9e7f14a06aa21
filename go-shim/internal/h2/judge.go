package h2

import (
	"encoding/base64"
	"strings"
)

// judging makes Fields of a block.
type judging struct {
	*Fields
	seen    [kinds]bool
	odd     bool // grpc-go or x/net/http2 would refuse the block or treat it specially, or the door can't tell
	unknown bool
	regular bool // a field that is not a pseudo-header was seen
}

// newFields judges a block. What would make grpc-go's server do anything but begin a call of the proto codec is neither
// Plain nor Extra; see operateHeaders in its http2_server.go and readMetaFrame in x/net/http2.
func newFields(block string, timeoutAt int, paths func([]byte) int) *Fields {
	j := judging{Fields: &Fields{Method: -1, block: block, timeoutAt: timeoutAt}}
	for rest := block; len(rest) > 0; {
		if timeoutAt >= 0 && len(block)-len(rest) >= timeoutAt {
			j.regular = true
		}
		var f written
		f, rest = nextWritten(rest)
		j.field(f, paths)
	}
	for _, needed := range [...]kind{method, scheme, authority, path, contentType} {
		j.odd = j.odd || !j.seen[needed]
	}
	j.Plain = !j.odd && !j.unknown
	j.Extra = !j.odd && j.unknown
	return j.Fields
}

func (j *judging) field(f written, paths func([]byte) int) {
	if strings.HasPrefix(f.name, ":") {
		j.odd = j.odd || j.regular
	} else {
		j.regular = true
	}
	j.odd = j.odd || !validValue(f.value)
	switch f.kind {
	case method:
		j.once(f, f.value == "POST")
	case scheme:
		j.once(f, f.value == "http" || f.value == "https")
	case authority:
		j.once(f, f.value != "")
	case path:
		if !j.seen[path] {
			j.Method = paths([]byte(f.value))
		}
		j.once(f, strings.HasPrefix(f.value, "/"))
	case contentType:
		j.Proto = f.value == "application/grpc+proto"
		j.once(f, j.Proto || f.value == "application/grpc")
	case te:
		j.once(f, f.value == "trailers")
	case userAgent:
		j.once(f, true)
	case encoding:
		j.once(f, f.value == "identity")
	case acceptEncoding, harmless:
	case minPosition:
		j.MinPosition = append(j.MinPosition, f.value)
	case atPosition:
		j.AtPosition = append(j.AtPosition, f.value)
	case position:
		j.Position = append(j.Position, f.value)
	case traceparent:
		j.Traceparent = append(j.Traceparent, f.value)
	case tracestate:
		j.Tracestate = append(j.Tracestate, f.value)
	case traceBin:
		value, err := decodeBinary(f.value)
		j.odd = j.odd || err != nil
		j.TraceBin = append(j.TraceBin, value)
	case other:
		j.metadata(f)
	default: // timeout: it is malformed or not the only one; special
		j.odd = true
	}
}

// once takes a field that may come once.
func (j *judging) once(f written, good bool) {
	j.odd = j.odd || !good || j.seen[f.kind]
	j.seen[f.kind] = true
}

func (j *judging) metadata(f written) {
	j.unknown = true
	if !validName(f.name) { // an unknown pseudo-header, too
		j.odd = true
	}
	if strings.HasSuffix(f.name, "-bin") {
		_, err := decodeBinary(f.value)
		j.odd = j.odd || err != nil
	}
}

// decodeBinary decodes a value of a key with -bin as grpc-go does.
func decodeBinary(value string) (string, error) {
	coding := base64.RawStdEncoding
	if len(value)%4 == 0 {
		coding = base64.StdEncoding
	}
	b, err := coding.DecodeString(value)
	return string(b), err
}

// validValue is httpguts.ValidHeaderFieldValue.
func validValue(value string) bool {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// validName is true for a token (RFC 9110, section 5.6.2) without capitals.
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.Contains("!#$%&'*+-.^_`|~", string(rune(c))) {
			return false
		}
	}
	return name != ""
}
