package service

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/position"
)

// GetBalance implements the RPC.
func (s *Service) GetBalance(ctx context.Context, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, error) {
	return answer(ctx, s, req, ledger.CheckGetBalance, readmodel.ReadModel.GetBalance)
}

// BatchGetBalances implements the RPC.
func (s *Service) BatchGetBalances(ctx context.Context, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, error) {
	return answer(ctx, s, req, ledger.CheckBatchGetBalances, readmodel.ReadModel.BatchGetBalances)
}

// GetStatistics implements the RPC.
func (s *Service) GetStatistics(ctx context.Context, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, error) {
	return answer(ctx, s, req, ledger.CheckGetStatistics, readmodel.ReadModel.GetStatistics)
}

// GetTopCounterparties implements the RPC.
func (s *Service) GetTopCounterparties(ctx context.Context, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, error) {
	return answer(ctx, s, req, ledger.CheckGetTopCounterparties, readmodel.ReadModel.GetTopCounterparties)
}

// GetTimeSeries implements the RPC.
func (s *Service) GetTimeSeries(ctx context.Context, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, error) {
	return answer(ctx, s, req, ledger.CheckGetTimeSeries, readmodel.ReadModel.GetTimeSeries)
}

// answer is the part that all reads share. It checks arguments and positions, waits for the position, and reads the
// model. Every reply and every error of the ledger carries its position. An error of the wait carries none, nor does one
// of a model that could not read.
func answer[Req, Resp any](
	ctx context.Context, s *Service, req *Req,
	check func(*Req) error,
	read func(model readmodel.ReadModel, at uint64, req *Req) (*Resp, uint64, error),
) (*Resp, error) {
	want, badWant := position.FromIncoming(ctx)
	if err := check(req); err != nil {
		position.Report(ctx, want, s.model().Position())
		return nil, statusOf(err)
	}
	if badWant != nil {
		position.Report(ctx, want, s.model().Position())
		return nil, status.Error(codes.InvalidArgument, badWant.Error())
	}
	model, at, err := s.reach(ctx, want)
	if err != nil {
		return nil, err
	}
	if bounded, ok := model.(readmodel.Bounded); ok {
		model = bounded.Within(ctx)
	}
	resp, answeredAt, err := read(model, at, req)
	var verdict *ledger.Error
	if err == nil || errors.As(err, &verdict) {
		position.Report(ctx, want, answeredAt)
	}
	if err != nil {
		return nil, statusOf(err)
	}
	return resp, nil
}

// reach waits until the ledger has the position that the caller wants. It returns the read model, which has that
// position, and the position to read at. A model that was taken before the wait may have been replaced meanwhile, and then
// stands still.
func (s *Service) reach(ctx context.Context, want position.Want) (model readmodel.ReadModel, at uint64, err error) {
	model = s.model()
	at, bound := readmodel.Newest, want.Min
	if want.HasAt {
		at, bound = want.At, want.At
	}
	if bound == 0 || bound <= model.Position() {
		return model, at, nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.budget(ctx))
	defer cancel()
	switch err := s.ledger.WaitHead(waiting, bound); {
	case err == nil:
		return s.model(), at, nil
	case ctx.Err() != nil:
		return nil, 0, status.FromContextError(ctx.Err()).Err()
	case waiting.Err() != nil:
		return nil, 0, position.NotReached(bound, s.ledger.Head())
	default:
		return nil, 0, statusOf(err)
	}
}

// budget returns how long to wait for a position. It keeps a tenth of the caller's time, so that the error for a
// position that was not reached arrives before the deadline.
func (s *Service) budget(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return s.maxWait
	}
	left := time.Until(deadline)
	return min(s.maxWait, left-left/10)
}
