package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// fill posts some transactions one by one and some in bulk, so that account_refs has rows of every length.
func fill(t *testing.T, path string) (*Store, *recorder) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	make1 := func(n int) *walletv1.Transaction {
		tx := &walletv1.Transaction{TransactionId: fmt.Sprintf("tx-%d", n), External: true}
		for range 1 + random.IntN(4) {
			tx.Entries = append(tx.Entries, &walletv1.Entry{
				AccountId: fmt.Sprintf("acct-%d", random.IntN(3)), Asset: []string{"GBP", "EUR", "A"}[random.IntN(3)],
				Amount: 1 + random.Int64N(100), Phase: walletv1.Phase_PHASE_POSTED,
			})
		}
		return tx
	}
	bulk := openOnly(t, path, Options{})
	var txs []*walletv1.Transaction
	for n := range 1500 {
		txs = append(txs, make1(n))
	}
	if _, err := bulk.AppendBatch(t.Context(), txs, false, nil); err != nil {
		t.Fatal(err)
	}
	bulk.Close()
	s, model := openLoaded(t, path, Options{})
	for n := range 50 {
		mustPost(t, s, make1(1500+n))
	}
	return s, model
}

func TestListEntriesPagesThroughEverything(t *testing.T) {
	s, model := fill(t, tempPath(t))
	for _, asset := range []*string{nil, proto.String("GBP"), proto.String("none")} {
		for _, size := range []uint32{97, 256, 1000} {
			var want []string
			for _, tx := range model.applied {
				for i, e := range tx.GetEntries() {
					if e.GetAccountId() == "acct-1" && (asset == nil || *asset == e.GetAsset()) {
						want = append(want, fmt.Sprintf("%d %s %d %v", tx.GetPosition(), tx.GetTransactionId(), i, e))
					}
				}
			}
			got := listAll(t, s, &walletv1.ListEntriesRequest{AccountId: "acct-1", Asset: asset, PageSize: size})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("asset %v, pages of %d: %d entries, want %d", asset, size, len(got), len(want))
			}
		}
	}
}

func listAll(t *testing.T, s *Store, req *walletv1.ListEntriesRequest) (listed []string) {
	t.Helper()
	for {
		resp, err := s.ListEntries(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.GetEntries() {
			listed = append(listed, fmt.Sprintf("%d %s %d %v", e.GetPosition(), e.GetTransactionId(), e.GetIndex(), e.GetEntry()))
		}
		if len(resp.GetEntries()) > int(req.GetPageSize()) {
			t.Fatalf("%d entries on a page of %d", len(resp.GetEntries()), req.GetPageSize())
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return listed
		}
	}
}

func TestListEntriesRefusesTokensOfAnotherQuestion(t *testing.T) {
	s, _ := fill(t, tempPath(t))
	first, err := s.ListEntries(t.Context(), &walletv1.ListEntriesRequest{AccountId: "acct-1", PageSize: 5})
	if err != nil {
		t.Fatal(err)
	}
	token := first.GetNextPageToken()
	for _, req := range []*walletv1.ListEntriesRequest{
		{AccountId: "acct-2", PageToken: token},
		{AccountId: "acct-1", Asset: proto.String("GBP"), PageToken: token},
		{AccountId: "acct-1", PageToken: token + "A"},
		{AccountId: "acct-1", PageToken: token[1:]},
		{AccountId: "acct-1", PageToken: "!"},
		{AccountId: "acct-1", PageToken: "_" + token[1:]}, // no position starts with these bits
	} {
		req.PageSize = 5
		if _, err := s.ListEntries(t.Context(), req); !errors.Is(err, ledger.ErrBadPageToken) {
			t.Errorf("%v: %v", req, err)
		}
	}
	if _, err := s.ListEntries(t.Context(), &walletv1.ListEntriesRequest{AccountId: "nobody", PageSize: 5}); !errors.Is(err, ledger.ErrNoEntries) {
		t.Errorf("nobody: %v", err)
	}
}

func TestTransactionsThatAreNotThere(t *testing.T) {
	s, _ := fill(t, tempPath(t))
	if _, err := s.TransactionByID(t.Context(), "none"); !errors.Is(err, ErrNoTransaction) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Transaction(t.Context(), s.Head()+1); !errors.Is(err, ErrNoTransaction) {
		t.Errorf("got %v", err)
	}
}
