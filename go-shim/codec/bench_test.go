package codec_test

import (
	"testing"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
)

// BenchmarkTyped measures what the wrapped codec costs messages of methods that are not hot: one type switch each way.
func BenchmarkTyped(b *testing.B) {
	base := encoding.GetCodecV2(grpcproto.Name)
	for name, c := range map[string]encoding.CodecV2{"registered": base, "wrapped": codec.New(base)} {
		b.Run(name, func(b *testing.B) {
			in, out := wrapperspb.Bytes(make([]byte, 100)), &wrapperspb.BytesValue{}
			b.ReportAllocs()
			for b.Loop() {
				data, err := c.Marshal(in)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Unmarshal(data, out); err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}
