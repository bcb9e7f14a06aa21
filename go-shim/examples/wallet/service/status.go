package service

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// statusOf turns an error into a status. Errors of the ledger package keep their exact text, which is part of the API.
func statusOf(err error) error {
	var verdict *ledger.Error
	switch {
	case errors.As(err, &verdict):
		return status.Error(codeOf(verdict.Kind), verdict.Error())
	case errors.Is(err, store.ErrCommit), errors.Is(err, store.ErrInDoubt), errors.Is(err, store.ErrClosed):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, store.ErrBusy):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

func codeOf(kind ledger.Kind) codes.Code {
	switch kind {
	case ledger.InvalidArgument:
		return codes.InvalidArgument
	case ledger.NotFound:
		return codes.NotFound
	case ledger.OutOfRange:
		return codes.OutOfRange
	case ledger.FailedPrecondition:
		return codes.FailedPrecondition
	case ledger.AlreadyExists:
		return codes.AlreadyExists
	default:
		return codes.Internal
	}
}
