package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/position"
)

// pair starts two services, one without the shim and one with it.
func pair(t *testing.T) (without, with *service) {
	t.Helper()
	without = newPlace(t).walletd(rig.Off)
	with = newPlace(t).walletd(rig.Supervise)
	with.caughtUp()
	return without, with
}

// call is one call to make to both services.
type call struct {
	name    string
	method  string
	request []byte
	md      metadata.MD
}

func same(t *testing.T, without, with *service, calls []call) {
	t.Helper()
	for _, c := range calls {
		want := observe(t, without.conn, c.method, c.request, c.md)
		got := observe(t, with.conn, c.method, c.request, c.md)
		if got != want {
			t.Errorf("%s: with the shim\n%s\nwithout it\n%s", c.name, got, want)
		}
	}
}

// posts returns transactions that are accepted, repeated and refused.
func posts(t *testing.T) []call {
	t.Helper()
	const method = walletv1.WalletService_PostTransaction_FullMethodName
	entry := func(account string, amount int64, phase walletv1.Phase) *walletv1.Entry {
		return &walletv1.Entry{AccountId: account, Asset: "GBP", Amount: amount, Phase: phase}
	}
	var calls []call
	add := func(name string, request *walletv1.PostTransactionRequest) {
		calls = append(calls, call{name, method, encode(t, request), nil})
	}
	for n := range 20 {
		add("transfer", &walletv1.PostTransactionRequest{
			TransactionId: fmt.Sprintf("t-%d", n), OccurredAtUs: int64(n) * 1_000_000, Entries: []*walletv1.Entry{
				entry("a", -5, walletv1.Phase_PHASE_POSTED), entry("b", 5, walletv1.Phase_PHASE_POSTED),
			},
		})
	}
	repeated := &walletv1.PostTransactionRequest{
		TransactionId: "again", External: true, Entries: []*walletv1.Entry{entry("a", 7, walletv1.Phase_PHASE_POSTED)},
	}
	add("first", repeated)
	add("repeated", repeated)
	other := proto.CloneOf(repeated)
	other.OccurredAtUs = 1
	add("repeated with another body", other)
	add("no id", &walletv1.PostTransactionRequest{})
	add("no entries", &walletv1.PostTransactionRequest{TransactionId: "x"})
	add("does not sum to zero", &walletv1.PostTransactionRequest{
		TransactionId: "x", Entries: []*walletv1.Entry{entry("a", -5, walletv1.Phase_PHASE_POSTED)},
	})
	add("releases more than is held", &walletv1.PostTransactionRequest{
		TransactionId: "x", External: true, Entries: []*walletv1.Entry{entry("a", -5, walletv1.Phase_PHASE_RELEASE)},
	})
	return calls
}

func TestColdMethodsAreUnchanged(t *testing.T) {
	t.Parallel()
	without, with := pair(t)
	same(t, without, with, posts(t))

	const get, list = walletv1.WalletService_GetTransaction_FullMethodName, walletv1.WalletService_ListEntries_FullMethodName
	calls := []call{
		{"nothing asked", get, nil, nil},
		{"malformed", get, []byte{0xff, 0xff}, nil},
		{"list of nobody", list, encode(t, &walletv1.ListEntriesRequest{AccountId: "nobody", PageSize: 5}), nil},
		{"no page size", list, encode(t, &walletv1.ListEntriesRequest{AccountId: "a"}), nil},
		{"bad token", list, encode(t, &walletv1.ListEntriesRequest{AccountId: "a", PageSize: 5, PageToken: "?"}), nil},
		{"with metadata", list, encode(t, &walletv1.ListEntriesRequest{AccountId: "b", PageSize: 5}),
			metadata.Pairs("x-request-id", "17", position.Key, "want")},
		{"no such method", "/wallet.v1.WalletService/GetAll", nil, nil},
		{"no such service", "/wallet.v9.WalletService/GetBalance", nil, nil},
	}
	for n := range uint64(25) {
		calls = append(calls, call{"by position", get, encode(t, &walletv1.GetTransactionRequest{
			Key: &walletv1.GetTransactionRequest_Position{Position: n},
		}), nil})
	}
	same(t, without, with, calls)
	if a, b := pages(t, without, "a"), pages(t, with, "a"); !slices.Equal(a, b) || len(a) < 3 {
		t.Errorf("pages differ, or are too few to tell:\n%s\n%s", a, b)
	}
}

func pages(t *testing.T, s *service, account string) []string {
	t.Helper()
	var all []string
	request := &walletv1.ListEntriesRequest{AccountId: account, PageSize: 4}
	for {
		reply, err := s.wallet.ListEntries(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(encode(t, reply)))
		if request.PageToken = reply.GetNextPageToken(); request.PageToken == "" {
			return all
		}
	}
}

// TestHotMethodsAreUnchanged calls the hot methods with and without position keys, and with valid, wrong and unreadable
// requests. The answers must be the same with the shim and without it.
func TestHotMethodsAreUnchanged(t *testing.T) {
	t.Parallel()
	without, with := pair(t)
	same(t, without, with, posts(t))
	with.caughtUp()
	before := with.shim()
	var calls []call
	for m, method := range ask.Hot {
		for name, request := range map[string][]byte{
			"empty": nil, "malformed": {0xff, 0xff}, "truncated": {10, 100, 'a'}, "unknown field": {0xf8, 0x7f, 1},
			"no UTF-8": {10, 1, 0xff}, "over-long": make([]byte, 5<<20), "about a": aboutA(t, m),
		} {
			for md, pairs := range map[string]metadata.MD{
				"plain": nil, "want": ask.Want(), "at 7": ask.At(7), "at 0": ask.At(0), "bad at": metadata.Pairs(position.AtKey, "x"),
				"two mins":     metadata.Pairs(position.MinKey, "1", position.MinKey, "2"),
				"at below min": metadata.Pairs(position.MinKey, "9", position.AtKey, "8"),
				"others":       metadata.Pairs("authorization", "secret", "x-request-id", "17"),
			} {
				calls = append(calls, call{ask.Name(m) + ", " + name + ", " + md, method, request, pairs})
			}
		}
	}
	same(t, without, with, calls)
	if now := with.shim(); now.Served[rig.SidecarMode] == before.Served[rig.SidecarMode] {
		t.Error("the sidecar answered none of them")
	}
}

func aboutA(t *testing.T, method int) []byte {
	t.Helper()
	const to = 60_000_000
	return encode(t, []proto.Message{
		&walletv1.GetBalanceRequest{AccountId: "a"},
		&walletv1.BatchGetBalancesRequest{AccountIds: []string{"b", "nobody", "a"}},
		&walletv1.GetStatisticsRequest{AccountId: "a", Asset: "GBP", ToUs: to, Percentiles: []uint32{5000}},
		&walletv1.GetTopCounterpartiesRequest{AccountId: "a", Asset: "GBP", ToUs: to, Limit: 3},
		&walletv1.GetTimeSeriesRequest{AccountId: "a", Asset: "GBP", ToUs: to, Step: walletv1.Step_STEP_HOUR},
	}[method])
}

func TestHealthAndReflectionAreUnchanged(t *testing.T) {
	t.Parallel()
	without, with := pair(t)
	for _, name := range []string{"", "wallet.v1.WalletService", "nothing"} {
		request := encode(t, &healthv1.HealthCheckRequest{Service: name})
		same(t, without, with, []call{{"health of " + name, healthv1.Health_Check_FullMethodName, request, nil}})
	}
	want, got := reflected(t, without.conn), reflected(t, with.conn)
	if got != want || !strings.Contains(want, "wallet.v1.WalletService") {
		t.Errorf("reflection: with the shim\n%s\nwithout it\n%s", got, want)
	}
}

func reflected(t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	ctx, cancel := withTimeout()
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, request := range []*reflectionv1.ServerReflectionRequest{
		{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}},
		{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "wallet.v1.WalletService"}},
	} {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range reply.GetListServicesResponse().GetService() {
			b.WriteString(service.GetName() + "\n")
		}
		fmt.Fprintf(&b, "%x\n", reply.GetFileDescriptorResponse().GetFileDescriptorProto())
	}
	return b.String()
}
