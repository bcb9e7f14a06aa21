package shim

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/position"
)

// maxTold bounds the keys that the log names for each method, because a handler may invent keys.
const maxTold = 32

// readable is implemented by grpc-go's own stream: its metadata can be read back. So the shim need not wrap the stream. A
// wrapper would break grpc.SetSendCompressor and grpc.ClientSupportedCompressors, which look for that type.
type readable interface {
	Header() (metadata.MD, error)
	Trailer() metadata.MD
}

// compressing is implemented by the same type. If a later grpc-go no longer implements readable, the shim leaves its stream
// alone.
type compressing interface {
	SetSendCompress(name string) error
}

// outgoing is the metadata of a response so far.
type outgoing struct{ header, trailer metadata.MD }

func read(stream readable) (o outgoing) {
	o.header, _ = stream.Header() // never fails at a server
	o.trailer = stream.Trailer()
	return o
}

// watched runs the local handler and reports the headers and trailers that it sets, because an answer of the sidecar has
// none.
func (h *handler) watched(ctx context.Context, run func(context.Context) (any, error)) (any, error) {
	reply, _, err := h.observed(ctx, run)
	return reply, err
}

// observed is like watched. set says whether the handler has set any.
func (h *handler) observed(ctx context.Context, run func(context.Context) (any, error)) (reply any, set bool, err error) {
	switch stream := grpc.ServerTransportStreamFromContext(ctx).(type) {
	case nil, compressing, *localCall:
		if own, ok := stream.(readable); ok {
			before := read(own)
			reply, err = run(ctx)
			return reply, h.tellOfMetadata(ctx, before, read(own)), err
		}
		reply, err = run(ctx)
		return reply, false, err
	default:
		// Someone else has wrapped grpc-go's stream, so its type cannot be found anyway.
		seen := &recorder{ServerTransportStream: stream}
		reply, err = run(grpc.NewContextWithServerTransportStream(ctx, seen))
		return reply, h.tellOfMetadata(ctx, outgoing{}, seen.all()), err
	}
}

// recorder remembers what is set.
type recorder struct {
	grpc.ServerTransportStream
	mu  sync.Mutex
	set outgoing
}

func (r *recorder) all() outgoing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set
}

func (r *recorder) addHeader(md metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set.header = metadata.Join(r.set.header, md)
}

// SetHeader implements grpc.ServerTransportStream.
func (r *recorder) SetHeader(md metadata.MD) error {
	r.addHeader(md)
	return r.ServerTransportStream.SetHeader(md)
}

// SendHeader implements grpc.ServerTransportStream.
func (r *recorder) SendHeader(md metadata.MD) error {
	r.addHeader(md)
	return r.ServerTransportStream.SendHeader(md)
}

// SetTrailer implements grpc.ServerTransportStream.
func (r *recorder) SetTrailer(md metadata.MD) error {
	r.mu.Lock()
	r.set.trailer = metadata.Join(r.set.trailer, md)
	r.mu.Unlock()
	return r.ServerTransportStream.SetTrailer(md)
}

// tellOfMetadata says whether there is metadata that an answer of the sidecar would lack.
func (m *method) tellOfMetadata(ctx context.Context, before, after outgoing) bool {
	headers, trailers := added(before.header, after.header), added(before.trailer, after.trailer)
	// A request that is never forwarded loses nothing.
	if len(headers)+len(trailers) == 0 || m.forwardable(ctx) != none {
		return false
	}
	m.metrics.LocalMetadata()
	m.tellOfKeys("header", headers)
	m.tellOfKeys("trailer", trailers)
	return true
}

// added returns the keys that got values. It leaves out position keys, because the sidecar's answers have them too.
func added(before, after metadata.MD) (keys []string) {
	for key, values := range after {
		if len(values) > len(before[key]) && !strings.HasPrefix(key, position.Prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (m *method) tellOfKeys(where string, keys []string) {
	for _, key := range keys {
		if m.told.first(where + " " + key) {
			m.side.log.Warn("the handler of a hot method sets response metadata, which callers miss when the sidecar answers: "+
				"leave the method out of Config.Methods, or keep the requests that need it local by Config.Forwardable",
				"method", m.name, "in", where, "key", key)
		}
	}
}

// once is the set of keys that the log has named.
type once struct {
	mu   sync.Mutex
	told map[string]bool
}

func (o *once) first(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told[what] || len(o.told) == maxTold {
		return false
	}
	if o.told == nil {
		o.told = map[string]bool{}
	}
	o.told[what] = true
	return true
}
