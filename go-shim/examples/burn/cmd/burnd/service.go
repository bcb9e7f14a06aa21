package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/examples/burn/burner"
	burnv1 "hotpath.dev/go-shim/examples/burn/gen/burn/v1"
)

// hotMethods lists the methods that the sidecar takes over.
var hotMethods = []string{burnv1.BurnService_Burn_FullMethodName}

// service is the legacy handler. Nothing in it depends on a sidecar.
type service struct {
	burnv1.UnimplementedBurnServiceServer
	burn func(workNS uint32)
}

func (s service) Burn(_ context.Context, request *burnv1.BurnRequest) (*burnv1.BurnResponse, error) {
	if request.GetWorkNs() > burner.MaxWorkNS {
		return nil, status.Errorf(codes.InvalidArgument, "work_ns: must be at most %d", burner.MaxWorkNS)
	}
	s.burn(request.GetWorkNs())
	return &burnv1.BurnResponse{WorkNs: request.GetWorkNs(), Ticket: request.GetTicket()}, nil
}

// emptyLedger is the source of a sidecar that answers from the request alone. It never has an event, so the sidecar is
// ready at once.
type emptyLedger struct{}

func (emptyLedger) LedgerID() string { return "burn" }

func (emptyLedger) Head() uint64 { return 0 }

func (emptyLedger) Read(ctx context.Context, _ uint64, _, _ int) ([][]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
