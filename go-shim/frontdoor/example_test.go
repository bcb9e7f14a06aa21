package frontdoor_test

import (
	"fmt"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/frontdoor"
)

// A server takes the advice in one line; options that follow override it.
func ExampleOptions() {
	server := grpc.NewServer(append(frontdoor.Options(), grpc.MaxRecvMsgSize(1<<20))...)
	testpb.RegisterTestServiceServer(server, testpb.UnimplementedTestServiceServer{})
	fmt.Println(len(server.GetServiceInfo()), "service")
	// Output: 1 service
}
