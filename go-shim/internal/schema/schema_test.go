package schema_test

import (
	"errors"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/internal/schema"
)

// The tests of examples/wallet/golden cover every kind of field. They also compare hashes with the sidecar's.
func TestText(t *testing.T) {
	descriptor, err := schema.Find(testpb.TestService_EmptyCall_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	const want = "method /grpc.testing.TestService/EmptyCall grpc.testing.Empty grpc.testing.Empty\nmessage grpc.testing.Empty\n"
	if got := schema.Text(descriptor); got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]error{
		"": schema.ErrBadName, "/": schema.ErrBadName, "grpc.testing.TestService/EmptyCall": schema.ErrBadName,
		"/grpc.testing.TestService": schema.ErrBadName, "/a/b/c": schema.ErrBadName,
		"/grpc.testing.TestService/Absent": schema.ErrUnknown, "/grpc.testing.Payload/body": schema.ErrUnknown,
	} {
		if _, err := schema.Find(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}
