package service_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/position"
)

// running is a complete service on a TCP port, with its client.
type running struct {
	walletv1.WalletServiceClient
	model    readmodel.ReadModel
	store    *store.Store
	loaded   atomic.Bool
	registry *prometheus.Registry
}

func start(t *testing.T, readModel string) *running {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "wallet.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	model, err := readmodel.For(s, readModel)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	r := &running{model: model, store: s, registry: prometheus.NewRegistry()}
	r.loaded.Store(true)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(service.Interceptors(service.NewMetrics(r.registry), &r.loaded, log)...))
	walletv1.RegisterWalletServiceServer(server, service.New(s, model))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.WalletServiceClient = walletv1.NewWalletServiceClient(conn)
	return r
}

// each runs a test with each read model.
func each(t *testing.T, test func(t *testing.T, r *running)) {
	t.Helper()
	for _, name := range readmodel.AllNames() {
		t.Run(name, func(t *testing.T) { test(t, start(t, name)) })
	}
}

func deposit(id, account string, amount int64) *walletv1.PostTransactionRequest {
	return &walletv1.PostTransactionRequest{TransactionId: id, External: true, Entries: []*walletv1.Entry{
		{AccountId: account, Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: "bank"},
	}}
}

func (r *running) post(t *testing.T, req *walletv1.PostTransactionRequest) uint64 {
	t.Helper()
	resp, err := r.PostTransaction(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetPosition()
}

func wantStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	if got := status.Convert(err); got.Code() != code || got.Message() != message {
		t.Errorf("got %v %q, want %v %q", got.Code(), got.Message(), code, message)
	}
}

func TestAllEightCalls(t *testing.T) { each(t, checkAllEightCalls) }

func checkAllEightCalls(t *testing.T, r *running) {
	t.Helper()
	if p := r.post(t, deposit("t1", "alice", 500)); p != 1 {
		t.Errorf("position %d", p)
	}
	again, err := r.PostTransaction(t.Context(), deposit("t1", "alice", 500))
	if err != nil || again.GetPosition() != 1 || !again.GetAlreadyPosted() {
		t.Errorf("%v, %v", again, err)
	}
	ctx, asset := t.Context(), proto.String("GBP")
	balance, err := r.GetBalance(ctx, &walletv1.GetBalanceRequest{AccountId: "alice", Asset: asset})
	if err != nil || balance.GetBalances()[0].GetAvailable() != 500 {
		t.Errorf("%v, %v", balance, err)
	}
	batch, err := r.BatchGetBalances(ctx, &walletv1.BatchGetBalancesRequest{AccountIds: []string{"alice", "bob"}})
	if err != nil || !batch.GetAccounts()[0].GetFound() || batch.GetAccounts()[1].GetFound() {
		t.Errorf("%v, %v", batch, err)
	}
	stats, err := r.GetStatistics(ctx, &walletv1.GetStatisticsRequest{AccountId: "alice", Asset: "GBP", ToUs: 1})
	if err != nil || stats.GetCreditSum() != 500 {
		t.Errorf("%v, %v", stats, err)
	}
	top, err := r.GetTopCounterparties(ctx, &walletv1.GetTopCounterpartiesRequest{AccountId: "alice", Asset: "GBP", ToUs: 1, Limit: 1})
	if err != nil || top.GetCounterparties()[0].GetCounterparty() != "bank" {
		t.Errorf("%v, %v", top, err)
	}
	series, err := r.GetTimeSeries(ctx, &walletv1.GetTimeSeriesRequest{AccountId: "alice", Asset: "GBP", ToUs: 1, Step: walletv1.Step_STEP_DAY})
	if err != nil || series.GetBuckets()[0].GetClosingBalance() != 500 {
		t.Errorf("%v, %v", series, err)
	}
	for _, req := range []*walletv1.GetTransactionRequest{
		{Key: &walletv1.GetTransactionRequest_Position{Position: 1}},
		{Key: &walletv1.GetTransactionRequest_TransactionId{TransactionId: "t1"}},
	} {
		tx, err := r.GetTransaction(ctx, req)
		if err != nil || tx.GetTransaction().GetTransactionId() != "t1" || tx.GetTransaction().GetPosition() != 1 {
			t.Errorf("%v, %v", tx, err)
		}
	}
	r.post(t, deposit("t2", "alice", 1))
	first, err := r.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: "alice", PageSize: 1})
	if err != nil || len(first.GetEntries()) != 1 || first.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", first, err)
	}
	second, err := r.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: "alice", PageSize: 1, PageToken: first.GetNextPageToken()})
	if err != nil || second.GetEntries()[0].GetTransactionId() != "t2" || second.GetNextPageToken() != "" {
		t.Errorf("%v, %v", second, err)
	}
}

func TestErrorsOfTheColdCalls(t *testing.T) { each(t, checkErrorsOfTheColdCalls) }

func checkErrorsOfTheColdCalls(t *testing.T, r *running) {
	t.Helper()
	r.post(t, deposit("t1", "alice", 500))
	ctx := t.Context()
	_, err := r.PostTransaction(ctx, deposit("", "alice", 1))
	wantStatus(t, err, codes.InvalidArgument, "transaction_id: must be 1-64 bytes")
	_, err = r.PostTransaction(ctx, deposit("t1", "alice", 501))
	wantStatus(t, err, codes.AlreadyExists, "transaction_id: already posted with another body")
	release := deposit("t2", "alice", 1)
	release.Entries[0].Phase = walletv1.Phase_PHASE_RELEASE
	_, err = r.PostTransaction(ctx, release)
	wantStatus(t, err, codes.FailedPrecondition, "entries[0]: releases more than is held")
	_, err = r.GetTransaction(ctx, &walletv1.GetTransactionRequest{})
	wantStatus(t, err, codes.InvalidArgument, "key: must be transaction_id or position")
	_, err = r.GetTransaction(ctx, &walletv1.GetTransactionRequest{Key: &walletv1.GetTransactionRequest_Position{}})
	wantStatus(t, err, codes.InvalidArgument, "position: must be at least 1")
	_, err = r.GetTransaction(ctx, &walletv1.GetTransactionRequest{Key: &walletv1.GetTransactionRequest_Position{Position: 1 << 63}})
	wantStatus(t, err, codes.NotFound, "position: has no transaction")
	_, err = r.GetTransaction(ctx, &walletv1.GetTransactionRequest{Key: &walletv1.GetTransactionRequest_TransactionId{TransactionId: "t9"}})
	wantStatus(t, err, codes.NotFound, "transaction_id: has no transaction")
	_, err = r.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: "bob", PageSize: 1})
	wantStatus(t, err, codes.NotFound, "account_id: has no entries")
	_, err = r.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: "alice"})
	wantStatus(t, err, codes.InvalidArgument, "page_size: must be 1-1000")
	_, err = r.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: "alice", PageSize: 1, PageToken: "x"})
	wantStatus(t, err, codes.InvalidArgument, "page_token: must be empty or the next_page_token of the page before")
}

// balanceAt sends a request with metadata. It returns the position in the response header, or "" if there is none.
func (r *running) balanceAt(ctx context.Context, account string, keys ...string) (string, error) {
	var header metadata.MD
	_, err := r.GetBalance(metadata.AppendToOutgoingContext(ctx, keys...), &walletv1.GetBalanceRequest{AccountId: account}, grpc.Header(&header))
	return strings.Join(header.Get(position.Key), ","), err
}

func TestPositions(t *testing.T) { each(t, checkPositions) }

func checkPositions(t *testing.T, r *running) {
	t.Helper()
	for _, id := range []string{"t1", "t2", "t3"} {
		r.post(t, deposit(id, "alice", 1))
	}
	notFound, badID := "account_id: has no entries", "account_id: must be 1-64 bytes of printable ASCII without spaces"
	for _, c := range []struct {
		account string
		keys    []string
		header  string
		code    codes.Code
		message string
	}{
		{"alice", nil, "", codes.OK, ""},
		{"alice", []string{"x-hotpath-position", "want"}, "3", codes.OK, ""},
		{"alice", []string{"x-hotpath-anything", ""}, "3", codes.OK, ""},
		{"alice", []string{position.MinKey, "2"}, "3", codes.OK, ""},
		{"alice", []string{position.AtKey, "2"}, "2", codes.OK, ""},
		{"alice", []string{position.AtKey, "0"}, "0", codes.NotFound, notFound},
		{"bob", []string{position.AtKey, "1"}, "1", codes.NotFound, notFound},
		{"", []string{position.AtKey, "1"}, "3", codes.InvalidArgument, badID},
		{"", []string{position.AtKey, "x"}, "3", codes.InvalidArgument, badID},
		{"alice", []string{position.AtKey, "x"}, "3", codes.InvalidArgument, position.AtKey + ": must be an unsigned 64-bit decimal"},
		{"alice", []string{position.AtKey, "1", position.MinKey, "2"}, "3", codes.InvalidArgument, position.AtKey + ": must not be below " + position.MinKey},
		{"alice", []string{position.MinKey, "1", position.MinKey, "2"}, "3", codes.InvalidArgument, position.MinKey + ": must be given once"},
	} {
		header, err := r.balanceAt(t.Context(), c.account, c.keys...)
		wantStatus(t, err, c.code, c.message)
		if header != c.header {
			t.Errorf("%q %v: header %q, want %q", c.account, c.keys, header, c.header)
		}
	}
}

func TestABoundAheadOfTheLedgerWaits(t *testing.T) { each(t, checkABoundAheadOfTheLedgerWaits) }

func checkABoundAheadOfTheLedgerWaits(t *testing.T, r *running) {
	t.Helper()
	r.post(t, deposit("t1", "alice", 1))
	answered := make(chan string)
	go func() {
		header, err := r.balanceAt(t.Context(), "alice", position.MinKey, "2")
		if err != nil {
			t.Error(err)
		}
		answered <- header
	}()
	r.post(t, deposit("t2", "alice", 1))
	if header := <-answered; header != "2" {
		t.Errorf("answered at %s", header)
	}
	for _, key := range []string{position.MinKey, position.AtKey} {
		var header string
		err := status.Error(codes.DeadlineExceeded, "")
		// On a slow machine a tenth of a short timeout may be too short for the reply to arrive.
		for wait := 500 * time.Millisecond; status.Code(err) == codes.DeadlineExceeded && wait < time.Hour; wait *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			header, err = r.balanceAt(ctx, "alice", key, "9")
			cancel()
		}
		wantStatus(t, err, codes.FailedPrecondition, "position 9 is not reached: the ledger is at 2")
		if position.Reason(err) != position.ReasonNotReached || header != "" {
			t.Errorf("%s: reason %q, header %q", key, position.Reason(err), header)
		}
	}
}

func TestNothingIsAnsweredBeforeTheLedgerIsLoaded(t *testing.T) {
	each(t, checkNothingIsAnsweredBeforeTheLedgerIsLoaded)
}

func checkNothingIsAnsweredBeforeTheLedgerIsLoaded(t *testing.T, r *running) {
	t.Helper()
	r.loaded.Store(false)
	_, err := r.GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "alice"})
	wantStatus(t, err, codes.Unavailable, "the ledger is still being loaded: try again shortly")
	families, err := r.registry.Gather()
	if err != nil || len(families) != 2 {
		t.Errorf("%d families of metrics, %v; the call must be counted and timed", len(families), err)
	}
}

func TestWhatTheStoreSaysBecomesAStatus(t *testing.T) { each(t, checkWhatTheStoreSaysBecomesAStatus) }

func checkWhatTheStoreSaysBecomesAStatus(t *testing.T, r *running) {
	t.Helper()
	r.post(t, deposit("t1", "alice", 1))
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.PostTransaction(t.Context(), deposit("t2", "alice", 1))
	wantStatus(t, err, codes.Unavailable, store.ErrClosed.Error())
	header, err := r.balanceAt(t.Context(), "alice", position.Key, "want")
	if _, fromFile := r.model.(readmodel.Bounded); fromFile {
		wantStatus(t, err, codes.Unavailable, store.ErrClosed.Error())
		if header != "" {
			t.Errorf("an error of the file names position %s", header)
		}
	} else if err != nil {
		t.Errorf("reads come from memory: %v", err)
	}
}
