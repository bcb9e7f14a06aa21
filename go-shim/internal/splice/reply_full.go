package splice

import (
	"encoding/base64"
	"encoding/binary"
	"strings"

	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/internal/h2"
)

const detailsKey = "grpc-status-details-bin"

// reply ends a call as grpc-go's server does once the handler has returned, metadata of the handler's own included.
func (c *Core) reply(s *stream, r *Reply) {
	if len(r.Header)+len(r.Trailer) == 0 {
		switch {
		case r.Status == nil:
			c.answer(s, nil, r.Body, 0, false)
			return
		case !r.Sent:
			c.refuseCall(s, r.Status, 0, false)
			return
		}
	}
	c.replying(s)
	// Without headers of its own, and without a message, a status comes alone.
	headed := r.Status == nil || r.Sent || len(r.Header) > 0
	header, headerList := appendMetadata(nil, r.Header, "")
	headerList += s.headList(false)
	trailer, trailerList := r.appendTrailer(nil)
	if !headed {
		trailerList += s.headList(false)
	}
	// This comes before the encoder puts anything into the client's table.
	if headed && uint32(headerList) > c.clientList || uint32(trailerList) > c.clientList {
		c.abort(s, h2.InternalError)
		return
	}
	if headed {
		out := c.client()
		begin := len(out.b)
		out.b = append(out.b, make([]byte, h2.HeaderLen)...)
		out.b = append(c.encoder.head(out.b, s.call.Head.Proto), header...)
		out.b = frameBlock(out.b, begin, s.id, false)
	}
	if r.Status != nil {
		c.lastBlock(s, trailer, headed)
		return
	}
	var prefix [prefixLen]byte
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(r.Body)))
	c.send(s, prefix[:], r.Body)
	s.end, s.block = endBlock, trailer
	if s.held == nil {
		c.finish(s)
	}
}

// lastBlock ends a call by a block without DATA before it.
func (c *Core) lastBlock(s *stream, trailer []byte, headed bool) {
	out := c.client()
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	if headed {
		out.b = c.encoder.begin(out.b)
	} else {
		out.b = c.encoder.head(out.b, s.call.Head.Proto)
	}
	out.b = frameBlock(append(out.b, trailer...), begin, s.id, true)
	s.serverDone = true
	c.forget(s)
}

// appendTrailer also returns the length of the list.
func (r *Reply) appendTrailer(b []byte) ([]byte, int) {
	list, without := 0, ""
	if r.Status == nil {
		b = h2.AppendField(b, "grpc-status", "0")
		b = h2.AppendField(b, "grpc-message", "")
		list = 2*32 + len("grpc-status") + len("0") + len("grpc-message")
	} else {
		b, list = appendStatus(b, r.Status)
		if len(r.Status.GetDetails()) > 0 {
			without = detailsKey // there is one already
		}
	}
	b, own := appendMetadata(b, r.Trailer, without)
	return b, list + own
}

// appendMetadata appends the fields that grpc-go's server sends of metadata, and returns the length of the list.
func appendMetadata(b []byte, md metadata.MD, without string) ([]byte, int) {
	list := 0
	for key, values := range md {
		if isReserved(key) || key == without && without != "" {
			continue
		}
		for _, value := range values {
			if strings.HasSuffix(key, "-bin") {
				value = base64.RawStdEncoding.EncodeToString([]byte(value))
			}
			list += 32 + len(key) + len(value)
			b = h2.AppendField(b, key, value)
		}
	}
	return b, list
}

// isReserved is true for keys that grpc-go sends, if at all, for itself.
func isReserved(key string) bool {
	switch key {
	case "content-type", "user-agent", "grpc-message-type", "grpc-encoding", "grpc-message", "grpc-status", "grpc-timeout", "te":
		return true
	}
	return strings.HasPrefix(key, ":")
}

// expireCall resets the stream of a call whose time is over.
func (c *Core) expireCall(s *stream) {
	s.ended = true
	c.counted.answered++
	c.abort(s, h2.Cancel)
	c.resets-- // of which the client made none
}
