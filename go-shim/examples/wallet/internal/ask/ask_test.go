package ask

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/position"
)

type wallet struct {
	walletv1.UnimplementedWalletServiceServer
}

func (wallet) GetBalance(ctx context.Context, q *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, error) {
	want, err := position.FromIncoming(ctx)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if want.Asked {
		_ = grpc.SetHeader(ctx, metadata.Pairs(position.Key, "41"))
	}
	switch q.GetAccountId() {
	case "nobody":
		return nil, status.Error(codes.NotFound, "account_id: has no entries")
	case "later":
		return nil, position.NotReached(want.At, 41)
	}
	return &walletv1.GetBalanceResponse{Balances: []*walletv1.Balance{{Asset: "GBP", Posted: 5}}}, nil
}

func start(t *testing.T) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer()
	walletv1.RegisterWalletServiceServer(server, wallet{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAnswersKeepStatusDetailsBytesAndPosition(t *testing.T) {
	conn := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	question := func(id string) Question { return New(0, &walletv1.GetBalanceRequest{AccountId: id}) }

	ok := Put(ctx, conn, question("a"), Want())
	want, _ := proto.Marshal(&walletv1.GetBalanceResponse{
		Balances: []*walletv1.Balance{{Asset: "GBP", Posted: 5}},
	})
	if !ok.Decided() || string(ok.Reply) != string(want) || ok.Position != 41 {
		t.Errorf("got %+v", ok)
	}
	if plain := Put(ctx, conn, question("a"), nil); plain.HasPosition || plain.Decided() {
		t.Errorf("a position without having asked: %+v", plain)
	}
	missing := Put(ctx, conn, question("nobody"), Want())
	if !missing.Decided() || missing.Code != codes.NotFound || missing.Message != "account_id: has no entries" {
		t.Errorf("got %+v", missing)
	}
	later := Put(ctx, conn, question("later"), At(99))
	info := &errdetails.ErrorInfo{Reason: position.ReasonNotReached, Domain: position.Domain}
	encoded, _ := proto.Marshal(info)
	if later.Decided() || !strings.Contains(string(later.Details), "ErrorInfo") || len(encoded) == 0 {
		t.Errorf("got %+v", later)
	}
	cold := Put(ctx, conn, New(2, &walletv1.GetStatisticsRequest{}), Want())
	if cold.Decided() || cold.Code != codes.Unimplemented {
		t.Errorf("got %+v", cold)
	}
}

func TestDifferNamesWhatDiffers(t *testing.T) {
	base := Answer{Reply: []byte("abc"), Position: 7, HasPosition: true}
	refused := Answer{Code: codes.InvalidArgument, Message: "limit: must be 1-100", Position: 7, HasPosition: true}
	with := func(a Answer, change func(*Answer)) Answer { change(&a); return a }
	for _, c := range []struct {
		name string
		a, b Answer
		want string
	}{
		{"same", base, base, ""},
		{"code", base, refused, "code: InvalidArgument"},
		{"message", refused, with(refused, func(a *Answer) { a.Message = "x" }), "message: "},
		{"details", refused, with(refused, func(a *Answer) { a.Details = []byte("x") }), "details: "},
		{"bytes", base, with(base, func(a *Answer) { a.Reply = []byte("abd") }), "from byte 2 on"},
		{"position", base, with(base, func(a *Answer) { a.Position = 8 }), "position: 8, not 7"},
		{"no position", base, with(base, func(a *Answer) { a.HasPosition = false }), "has a position"},
		{"position of a refusal", refused, with(refused, func(a *Answer) { a.Position = 8 }), ""},
	} {
		got := Differ(c.a, c.b)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestQuestionsAndAnswersAreReadable(t *testing.T) {
	q := New(3, &walletv1.GetTopCounterpartiesRequest{AccountId: "acc-1", Limit: 10})
	if got := q.Text(); !strings.HasPrefix(got, "GetTopCounterparties\n") || !strings.Contains(got, `"acc-1"`) {
		t.Errorf("question: %s", got)
	}
	reply, _ := proto.Marshal(&walletv1.GetTopCounterpartiesResponse{
		Counterparties: []*walletv1.CounterpartyTotal{{Counterparty: "shop", Count: 3}},
	})
	if got := q.AnswerText(Answer{Reply: reply}); !strings.Contains(got, `"shop"`) {
		t.Errorf("answer: %s", got)
	}
	if got := q.AnswerText(Answer{Reply: []byte{0xff}}); !strings.Contains(got, "ff") {
		t.Errorf("broken answer: %s", got)
	}
}
