package codec_test

import (
	"testing"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
)

type own struct {
	encoding.CodecV2
	_ []int
}

func TestProbeTellsTheCodec(t *testing.T) {
	standard := encoding.GetCodecV2(proto.Name)
	body, err := codec.Encode(standard, wrapperspb.String("x"))
	if err != nil {
		t.Fatal(err)
	}
	mine := own{CodecV2: standard}
	for name, c := range map[string]struct {
		codec, expected encoding.CodecV2
		taken, byIt     bool
	}{
		"the same":           {codec.New(nil), codec.New(nil), true, true},
		"the same own":       {codec.New(mine), codec.New(mine), true, true},
		"another's wrapping": {codec.New(nil), codec.New(mine), true, false},
		"a foreign one":      {mine, codec.New(nil), false, false},
	} {
		probe := codec.Probe{Message: &wrapperspb.StringValue{}}
		if err := c.codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(body)}, &probe); err != nil {
			t.Fatal(err)
		}
		if probe.Taken() != c.taken || probe.TakenBy(c.expected) != c.byIt {
			t.Errorf("%s: taken %v, by it %v", name, probe.Taken(), probe.TakenBy(c.expected))
		}
		var into wrapperspb.StringValue
		if err := probe.Decode(&into); err != nil || into.GetValue() != "x" {
			t.Errorf("%s: %v, %v", name, &into, err)
		}
	}
}
