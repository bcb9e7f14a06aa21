package codec_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
)

func TestRawOutlivesTheBuffersOfGRPC(t *testing.T) {
	c := codec.New(nil)
	pool := mem.DefaultBufferPool()
	pooled := pool.Get(4096)
	for i := range *pooled {
		(*pooled)[i] = 1
	}
	data := mem.BufferSlice{mem.NewBuffer(pooled, pool), mem.SliceBuffer("tail")}
	var raw codec.Raw
	if err := c.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	clear(*pooled)
	data.Free()
	if len(raw.Bytes) != 4100 || raw.Bytes[0] != 1 || string(raw.Bytes[4096:]) != "tail" {
		t.Fatalf("%d bytes", len(raw.Bytes))
	}
	out, err := c.Marshal(&raw)
	if err != nil {
		t.Fatal(err)
	}
	out.Free()
	if again, err := c.Marshal(&raw); err != nil || !bytes.Equal(again.Materialize(), raw.Bytes) {
		t.Fatal("the Free of grpc-go reached the bytes")
	}
}

// returned counts the buffers that come back.
type returned struct{ n int }

func (r *returned) Get(length int) *[]byte { b := make([]byte, length); return &b }
func (r *returned) Put(*[]byte)            { r.n++ }

func TestSharedBuffersComeBackOnceNobodyReadsThem(t *testing.T) {
	c, pool := codec.New(nil), &returned{}
	data := bytes.Repeat([]byte{7}, 4096)
	out, err := c.Marshal(&codec.Shared{Buffer: mem.NewBuffer(&data, pool)})
	if err != nil {
		t.Fatal(err)
	}
	var in codec.Shared
	if err := c.Unmarshal(out, &in); err != nil {
		t.Fatal(err)
	}
	if out.Free(); pool.n != 0 || !bytes.Equal(in.Buffer.ReadOnlyData(), data) {
		t.Fatal("the receiver's bytes were given back with the sender's")
	}
	if in.Buffer.Free(); pool.n != 1 {
		t.Fatalf("%d buffers came back", pool.n)
	}
	pieces := mem.BufferSlice{mem.SliceBuffer("in "), mem.SliceBuffer("pieces")}
	if err := c.Unmarshal(pieces, &in); err != nil || string(in.Buffer.ReadOnlyData()) != "in pieces" {
		t.Fatalf("got %q, %v", in.Buffer.ReadOnlyData(), err)
	}
}

func TestOtherMessagesGoThroughTheCodecBeneath(t *testing.T) {
	c := codec.New(nil)
	if c.Name() != "proto" {
		t.Fatalf("named %s", c.Name())
	}
	for _, size := range []int{0, 10, 5000} {
		in, out := wrapperspb.Bytes(make([]byte, size)), &wrapperspb.BytesValue{}
		body, err := codec.Encode(c, in)
		if err != nil {
			t.Fatal(err)
		}
		if err := codec.Decode(c, body, out); err != nil || !proto.Equal(in, out) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if _, err := c.Marshal("text"); err == nil {
		t.Fatal("a string was encoded")
	}
}
