package frontdoor

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/shimtest"
)

// BenchmarkCall measures what a door adds to a call. Client and server are in this process, with 64 calls in flight. On
// a busy machine cpu-ns/op tells more than the time.
func BenchmarkCall(b *testing.B) {
	for _, length := range []uint32{100, 4_000} {
		for _, door := range []bool{false, true} {
			b.Run(fmt.Sprintf("door=%v/bytes=%d", door, length),
				func(b *testing.B) { benchmarkCall(b, door, length) })
		}
	}
}

func benchmarkCall(b *testing.B, withDoor bool, length uint32) {
	listener, err := net.Listen("unix", filepath.Join(b.TempDir(), "s.sock"))
	if err != nil {
		b.Fatal(err)
	}
	var server *grpc.Server
	desc := &grpc.ServiceDesc{ServiceName: "test.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Repeat", Handler: repeat}}}
	if withDoor {
		door := New(Limits{})
		server, listener = grpc.NewServer(door.ServerOptions()...), door.Listen(listener)
		door.Wrap(server).RegisterService(desc, b)
	} else {
		server = grpc.NewServer(append(Options(), grpc.ForceServerCodecV2(codec.New(nil)))...)
		server.RegisterService(desc, b)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	ask := func() {
		if err := conn.Invoke(context.Background(), method, wrapperspb.UInt32(length), new(wrapperspb.BytesValue)); err != nil {
			b.Error(err)
		}
	}
	ask() // also connects
	b.ReportAllocs()
	b.ResetTimer()
	before := shimtest.ProcessTime(b)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for range (b.N + i) / 64 {
				ask()
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(shimtest.ProcessTime(b)-before)/float64(b.N), "cpu-ns/op")
}
