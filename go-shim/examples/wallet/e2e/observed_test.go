package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// opaque is a codec that gives bytes to grpc-go as they are.
type opaque struct{}

func (opaque) Name() string { return "proto" }

func (opaque) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (opaque) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

// observe makes a call and returns a text of all that a caller can see of it, including metadata.
func observe(t *testing.T, conn *grpc.ClientConn, method string, request []byte, md metadata.MD) string {
	t.Helper()
	ctx, cancel := withTimeout()
	defer cancel()
	var header, trailer metadata.MD
	var reply []byte
	err := conn.Invoke(metadata.NewOutgoingContext(ctx, md), method, &request, &reply,
		grpc.ForceCodec(opaque{}), grpc.Header(&header), grpc.Trailer(&trailer))
	st := status.Convert(err)
	return fmt.Sprintf("%s %q\n%s\nheader %s\ntrailer %s\nreply %x", st.Code(), st.Message(),
		details(st.Proto().GetDetails()), keys(header), keys(trailer), reply)
}

func details(all []*anypb.Any) string {
	var b strings.Builder
	for _, detail := range all {
		fmt.Fprintf(&b, "detail %s %x\n", detail.GetTypeUrl(), detail.GetValue())
	}
	return b.String()
}

func keys(md metadata.MD) string {
	var all []string
	for key, values := range md {
		all = append(all, key+"="+strings.Join(values, ","))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func encode(t *testing.T, message proto.Message) []byte {
	t.Helper()
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
