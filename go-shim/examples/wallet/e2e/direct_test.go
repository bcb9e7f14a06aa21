package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/position"
)

// direct is a sidecar that callers reach over TCP, without the Go service that feeds it.
type direct struct {
	*rig.Hotpathd
	conn *grpc.ClientConn
}

// directly starts a sidecar, the walletd that feeds it, and a legacy service with the same ledger. The sidecar can answer
// at every position: its feed opens before the first post, and it drops nothing.
func directly(t *testing.T, args ...string) (legacy *service, d direct) {
	t.Helper()
	legacy = newPlace(t).walletd(rig.Off)
	p := newPlace(t)
	d.Hotpathd = p.hotpathd(append([]string{"--retain-ms", "3600000", "--retain-versions", "100000"}, args...)...)
	feeder := p.walletd(rig.Attach)
	feeder.caughtUp()
	same(t, legacy, feeder, posts(t))
	feeder.caughtUp()
	d.conn = dial(t, d.Listen)
	return legacy, d
}

// TestDirectAnswersAreThoseOfTheService checks that grpc-go shows the same of the sidecar's answers as of the
// service's, including metadata.
func TestDirectAnswersAreThoseOfTheService(t *testing.T) {
	t.Parallel()
	legacy, d := directly(t)
	for m, method := range ask.Hot {
		for name, request := range map[string][]byte{
			"empty": nil, "unknown field": {0xf8, 0x7f, 1}, "about a": aboutA(t, m),
		} {
			for metadataName, md := range map[string]metadata.MD{
				"plain": nil, "want": ask.Want(), "at 7": ask.At(7), "at 0": ask.At(0),
				"bad at": metadata.Pairs(position.AtKey, "x"), "others": metadata.Pairs("authorization", "secret"),
			} {
				want := wherever(observe(t, legacy.conn, method, request, md))
				if got := wherever(observe(t, d.conn, method, request, md)); got != want {
					t.Errorf("%s, %s, %s: directly\n%s\nfrom the service\n%s", ask.Name(m), name, metadataName, got, want)
				}
			}
		}
	}
}

// wherever merges headers and trailers, because a status without a reply may come as either. It drops the content type,
// which depends on the library: grpc-go repeats the request's subtype.
func wherever(observed string) string {
	var metadata, rest []string
	for line := range strings.Lines(observed) {
		words := strings.Fields(line)
		if len(words) > 0 && (words[0] == "header" || words[0] == "trailer") {
			metadata = append(metadata, slices.DeleteFunc(words[1:], func(word string) bool {
				return strings.HasPrefix(word, "content-type=")
			})...)
		} else {
			rest = append(rest, line)
		}
	}
	return strings.Join(append(rest, metadata...), " ")
}

// TestDirectGenericClient calls a method as grpcurl does, which has nothing but the address.
func TestDirectGenericClient(t *testing.T) {
	t.Parallel()
	legacy, d := directly(t)
	const request = `{"accountId": "b"}`
	want, err := legacy.wallet.GetBalance(context.Background(), &walletv1.GetBalanceRequest{AccountId: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1", "v1alpha"} {
		services, set := described(t, d.conn, version)
		if !slices.Contains(services, "wallet.v1.WalletService") || !slices.Contains(services, "grpc.health.v1.Health") {
			t.Fatalf("%s: services are %v", version, services)
		}
		files, err := protodesc.NewFiles(set)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		found, err := files.FindDescriptorByName("wallet.v1.WalletService.GetBalance")
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		method := found.(protoreflect.MethodDescriptor)
		in, out := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
		if err := protojson.Unmarshal([]byte(request), in); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
		if err := d.conn.Invoke(context.Background(), path, in, out); err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		got := new(walletv1.GetBalanceResponse)
		if err := proto.Unmarshal(encode(t, out), got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v (%v), not %v", version, got, err, want)
		}
	}
}

// described asks the reflection service for all services, for the file that describes the wallet's, and for all files
// that it imports. Both versions of the protocol have the same messages.
func described(t *testing.T, conn *grpc.ClientConn, version string) ([]string, *descriptorpb.FileDescriptorSet) {
	t.Helper()
	ctx, cancel := withTimeout()
	defer cancel()
	path := "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo"
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
	if err != nil {
		t.Fatal(err)
	}
	asked := func(request *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		reply := new(reflectionv1.ServerReflectionResponse)
		if err := stream.SendMsg(request); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(reply); err != nil {
			t.Fatal(err)
		}
		return reply
	}
	var services []string
	listed := asked(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, service := range listed.GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	set, known := new(descriptorpb.FileDescriptorSet), map[string]bool{}
	next := []*reflectionv1.ServerReflectionRequest{{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "wallet.v1.WalletService"},
	}}
	for ; len(next) > 0; next = next[1:] {
		for _, file := range parsed(t, asked(next[0])) {
			if known[file.GetName()] {
				continue
			}
			known[file.GetName()] = true
			set.File = append(set.File, file)
			for _, name := range file.GetDependency() {
				next = append(next, &reflectionv1.ServerReflectionRequest{
					MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: name},
				})
			}
		}
	}
	return services, set
}

func parsed(t *testing.T, reply *reflectionv1.ServerReflectionResponse) []*descriptorpb.FileDescriptorProto {
	t.Helper()
	encoded := reply.GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(encoded) == 0 {
		t.Fatalf("no file: %v", reply)
	}
	var files []*descriptorpb.FileDescriptorProto
	for _, bytes := range encoded {
		file := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(bytes, file); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func TestDirectHealth(t *testing.T) {
	t.Parallel()
	_, d := directly(t)
	ctx, cancel := withTimeout()
	defer cancel()
	health := healthv1.NewHealthClient(d.conn)
	for _, name := range []string{"", "wallet.v1.WalletService"} {
		reply, err := health.Check(ctx, &healthv1.HealthCheckRequest{Service: name})
		if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("check of %q: %v, %v", name, reply, err)
		}
	}
	if _, err := health.Check(ctx, &healthv1.HealthCheckRequest{Service: "nothing"}); status.Code(err) != codes.NotFound {
		t.Errorf("check of nothing: %v", err)
	}
	watch, err := health.Watch(ctx, &healthv1.HealthCheckRequest{Service: "wallet.v1.WalletService"})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := watch.Recv(); err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("watch: %v, %v", reply, err)
	}
	d.Stop(testTimeout)
	for {
		reply, err := watch.Recv()
		if err != nil {
			break
		}
		if got := reply.GetStatus(); got == healthv1.HealthCheckResponse_SERVING {
			t.Errorf("a sidecar that is being stopped says %s", got)
		}
	}
}

func TestDirectRefusals(t *testing.T) {
	t.Parallel()
	_, d := directly(t, "--max-message-bytes", "65536")
	get := ask.Hot[0]
	about := encode(t, &walletv1.GetBalanceRequest{AccountId: "a"})
	zipped := []grpc.CallOption{grpc.UseCompressor(gzip.Name)}
	cases := []struct {
		name, method string
		request      []byte
		options      []grpc.CallOption
		code         codes.Code
		says         string
	}{
		{"compressed, at the limit", get, padded(about, 65_536), zipped, codes.OK, ""},
		{"compressed, too long", get, padded(about, 65_537), zipped, codes.ResourceExhausted, "65536 bytes once decompressed"},
		{"at the limit", get, padded(about, 65_536), nil, codes.OK, ""},
		{"too long", get, padded(about, 65_537), nil, codes.ResourceExhausted, "65537"},
		{"malformed", get, []byte{0xff, 0xff}, nil, codes.Internal, ""},
		{"a method of Go's", walletv1.WalletService_GetTransaction_FullMethodName, nil, nil, codes.Unimplemented, "GetTransaction"},
		{"no such method", "/wallet.v1.WalletService/GetAll", nil, nil, codes.Unimplemented, "GetAll"},
		{"no such service", "/wallet.v9.WalletService/GetBalance", nil, nil, codes.Unimplemented, ""},
		{"private: exchange", "/hotpath.v1.ExchangeService/Exchange", nil, nil, codes.Unimplemented, ""},
		{"private: control", "/hotpath.v1.ControlService/Hello", nil, nil, codes.Unimplemented, ""},
		{"private: feed", "/hotpath.v1.FeedService/Feed", nil, nil, codes.Unimplemented, ""},
	}
	for _, c := range cases {
		ctx, cancel := withTimeout()
		var reply []byte
		err := d.conn.Invoke(ctx, c.method, &c.request, &reply, append(c.options, grpc.ForceCodec(opaque{}))...)
		cancel()
		if st := status.Convert(err); st.Code() != c.code || !strings.Contains(st.Message(), c.says) {
			t.Errorf("%s: %v, not %s with %q", c.name, err, c.code, c.says)
		}
	}
}

// padded adds an unknown field, so that the message has this many bytes.
func padded(message []byte, bytes int) []byte {
	const tagAndLength = 2 + 3
	length := bytes - len(message) - tagAndLength
	head := []byte{0xfa, 0x7f, byte(length&0x7f | 0x80), byte(length>>7&0x7f | 0x80), byte(length >> 14)}
	return append(append(slices.Clone(message), head...), make([]byte, length)...)
}

// TestDirectReplyThatIsTooLong asks for balances of unknown accounts. A row of the reply has two bytes more than its
// account in the request, so that only the reply exceeds the limit.
func TestDirectReplyThatIsTooLong(t *testing.T) {
	t.Parallel()
	_, d := directly(t, "--max-message-bytes", "65536")
	for count, code := range map[int]codes.Code{10: codes.OK, 1000: codes.ResourceExhausted} {
		request := new(walletv1.BatchGetBalancesRequest)
		for n := range count {
			request.AccountIds = append(request.AccountIds, fmt.Sprintf("%063d", n))
		}
		if answer := put(d.conn, ask.New(1, request), true, 7); answer.Code != code || answer.HasPosition != (code == codes.OK) {
			t.Errorf("%d balances: %s", count, answer)
		}
	}
}

// TestDirectDeadline checks that a call ends at its deadline, whether the caller or the sidecar notices it first, and
// that a cancelled call frees its place.
func TestDirectDeadline(t *testing.T) {
	t.Parallel()
	_, d := directly(t, "--max-wait-ms", "600000")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	md := metadata.Pairs(position.MinKey, "1000000")
	answer := ask.Put(ctx, d.conn, balanceOf("a"), md)
	if answer.Code != codes.DeadlineExceeded && answer.Code != codes.Unavailable && answer.Code != codes.FailedPrecondition {
		t.Errorf("got %s", answer)
	}
	ctx, cancel = context.WithCancel(context.Background())
	gone := make(chan ask.Answer, 1)
	go func() { gone <- ask.Put(ctx, d.conn, balanceOf("a"), md) }()
	awaitTrue(t, "the request waits", func() bool { return inFlight(t, d) == 1 })
	cancel()
	if answer := <-gone; answer.Code != codes.Canceled {
		t.Errorf("got %s", answer)
	}
	awaitTrue(t, "its place is free", func() bool { return inFlight(t, d) == 0 })
}

func inFlight(t *testing.T, d direct) float64 {
	t.Helper()
	return scrape(t, d.Admin).Value("hotpathd_in_flight", nil)
}
