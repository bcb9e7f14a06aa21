package h2

// kind is what a field's name means to gRPC.
type kind uint8

const (
	other kind = iota // metadata that the door doesn't know
	method
	scheme
	authority
	path
	contentType
	te
	userAgent
	timeout
	acceptEncoding // grpc-accept-encoding
	encoding       // grpc-encoding
	minPosition
	atPosition
	position
	traceparent
	tracestate
	traceBin
	kinds // their number

	// Each of these has several names.
	harmless kind = 100 + iota // metadata that means nothing to grpc-go nor to the door
	special                    // fields that grpc-go or x/net/http2 treats in its own way: they leave the call to grpc-go
)

// stored is true if a name of that kind must be kept, since the kind doesn't tell it.
func (k kind) stored() bool { return k == other || k > kinds }

// name is the only name of that kind, or "".
func (k kind) name() string {
	name, _ := k.names()
	return name
}

// names returns the only name of a kind, and its index in the static table or 0.
func (k kind) names() (name string, static int) {
	switch k {
	case method:
		return ":method", 2
	case scheme:
		return ":scheme", 6
	case authority:
		return ":authority", 1
	case path:
		return ":path", 4
	case contentType:
		return "content-type", 31
	case te:
		return "te", 0
	case userAgent:
		return "user-agent", 58
	case timeout:
		return timeoutName, 0
	case acceptEncoding:
		return "grpc-accept-encoding", 0
	case encoding:
		return "grpc-encoding", 0
	case minPosition:
		return "x-hotpath-min-position", 0
	case atPosition:
		return "x-hotpath-at-position", 0
	case position:
		return "x-hotpath-position", 0
	case traceparent:
		return "traceparent", 0
	case tracestate:
		return "tracestate", 0
	case traceBin:
		return "grpc-trace-bin", 0
	}
	return "", 0
}

// kindOf is the kind of a name.
func kindOf[S string | []byte](name S) kind {
	switch string(name) {
	case ":method":
		return method
	case ":scheme":
		return scheme
	case ":authority":
		return authority
	case ":path":
		return path
	case "content-type":
		return contentType
	case "te":
		return te
	case "user-agent":
		return userAgent
	case timeoutName:
		return timeout
	case "grpc-accept-encoding":
		return acceptEncoding
	case "grpc-encoding":
		return encoding
	case "x-hotpath-min-position":
		return minPosition
	case "x-hotpath-at-position":
		return atPosition
	case "x-hotpath-position":
		return position
	case "traceparent":
		return traceparent
	case "tracestate":
		return tracestate
	case "grpc-trace-bin":
		return traceBin
	case "accept-encoding", "content-length":
		return harmless
	case "connection", "host", "trailer", "grpc-status", "grpc-message", "grpc-message-type":
		return special
	}
	return other
}

// staticKind is the kind of a name of the static table.
func staticKind(index int) kind {
	switch index {
	case 1:
		return authority
	case 2, 3:
		return method
	case 4, 5:
		return path
	case 6, 7:
		return scheme
	case 16, 28:
		return harmless
	case 31:
		return contentType
	case 38:
		return special
	case 58:
		return userAgent
	}
	return other
}
