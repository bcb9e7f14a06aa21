// Package service implements the wallet's gRPC service. It checks arguments, resolves positions, asks the store or the
// read model, and turns errors into statuses.
package service

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	// This import registers the gzip compressor, so that a server accepts compressed calls and compresses their
	// replies.
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// Ledger is the durable ledger. [store.Store] implements it.
type Ledger interface {
	Post(ctx context.Context, tx *walletv1.Transaction) (position uint64, alreadyPosted bool, err error)
	Transaction(ctx context.Context, position uint64) (*walletv1.Transaction, error)
	TransactionByID(ctx context.Context, transactionID string) (*walletv1.Transaction, error)
	ListEntries(ctx context.Context, req *walletv1.ListEntriesRequest) (*walletv1.ListEntriesResponse, error)
	Head() uint64
	WaitHead(ctx context.Context, position uint64) error
}

// DefaultMaxWait bounds the wait for a position when the caller has no nearer deadline.
const DefaultMaxWait = 5 * time.Second

// Service implements wallet.v1.WalletService.
type Service struct {
	walletv1.UnimplementedWalletServiceServer
	ledger  Ledger
	inForce atomic.Pointer[readmodel.ReadModel]
	maxWait time.Duration
}

// New returns a service. ledger must apply what it commits to model.
func New(ledger Ledger, model readmodel.ReadModel) *Service {
	s := &Service{ledger: ledger, maxWait: DefaultMaxWait}
	s.Use(model)
	return s
}

// Use replaces the read model. The ledger must apply what it commits to the new one from now on, which must have
// everything that the old one has: see [store.Store.Switch]. Reads that have begun end with the old one.
func (s *Service) Use(model readmodel.ReadModel) { s.inForce.Store(&model) }

func (s *Service) model() readmodel.ReadModel { return *s.inForce.Load() }

// PostTransaction implements the RPC.
func (s *Service) PostTransaction(ctx context.Context, req *walletv1.PostTransactionRequest) (*walletv1.PostTransactionResponse, error) {
	at, alreadyPosted, err := s.ledger.Post(ctx, &walletv1.Transaction{
		TransactionId: req.GetTransactionId(),
		OccurredAtUs:  req.GetOccurredAtUs(),
		External:      req.GetExternal(),
		Entries:       req.GetEntries(),
	})
	if err != nil {
		return nil, statusOf(err)
	}
	return &walletv1.PostTransactionResponse{Position: at, AlreadyPosted: alreadyPosted}, nil
}

// GetTransaction implements the RPC.
func (s *Service) GetTransaction(ctx context.Context, req *walletv1.GetTransactionRequest) (*walletv1.GetTransactionResponse, error) {
	if err := ledger.CheckGetTransaction(req); err != nil {
		return nil, statusOf(err)
	}
	var tx *walletv1.Transaction
	var err error
	field := "position"
	if _, byPosition := req.GetKey().(*walletv1.GetTransactionRequest_Position); byPosition {
		tx, err = s.ledger.Transaction(ctx, req.GetPosition())
	} else {
		field = "transaction_id"
		tx, err = s.ledger.TransactionByID(ctx, req.GetTransactionId())
	}
	if errors.Is(err, store.ErrNoTransaction) {
		return nil, status.Error(codes.NotFound, field+": has no transaction")
	}
	if err != nil {
		return nil, statusOf(err)
	}
	return &walletv1.GetTransactionResponse{Transaction: tx}, nil
}

// ListEntries implements the RPC.
func (s *Service) ListEntries(ctx context.Context, req *walletv1.ListEntriesRequest) (*walletv1.ListEntriesResponse, error) {
	if err := ledger.CheckListEntries(req); err != nil {
		return nil, statusOf(err)
	}
	resp, err := s.ledger.ListEntries(ctx, req)
	if err != nil {
		return nil, statusOf(err)
	}
	return resp, nil
}
