package ask

import (
	"errors"

	"google.golang.org/grpc/mem"
)

// raw is a codec that passes bytes through. Its name is "proto" because the server chooses its codec by the name.
type raw struct{}

var errNotBytes = errors.New("raw codec: pass a *[]byte")

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	bytes, ok := v.(*[]byte)
	if !ok {
		return nil, errNotBytes
	}
	return mem.BufferSlice{mem.SliceBuffer(*bytes)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	bytes, ok := v.(*[]byte)
	if !ok {
		return errNotBytes
	}
	*bytes = data.Materialize()
	return nil
}
