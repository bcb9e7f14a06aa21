package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/examples/wallet/store"
)

func TestAPanicFailsOneCallOnly(t *testing.T) {
	var log strings.Builder
	intercept := recoverPanics(slog.New(slog.NewTextHandler(&log, nil)))
	_, err := intercept(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/m"}, func(context.Context, any) (any, error) {
		panic("secret")
	})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") || !strings.Contains(log.String(), "secret") {
		t.Errorf("got %v; logged %s", err, log.String())
	}
}

func TestStatusOfInfrastructure(t *testing.T) {
	for code, err := range map[codes.Code]error{
		codes.Unavailable:       fmt.Errorf("%w: the disk is full", store.ErrCommit),
		codes.ResourceExhausted: store.ErrBusy,
		codes.DeadlineExceeded:  fmt.Errorf("%w: %w", store.ErrUnknown, context.DeadlineExceeded),
		codes.Canceled:          fmt.Errorf("%w: %w", store.ErrUnknown, context.Canceled),
		codes.Internal:          errors.New("something else"),
	} {
		if got := status.Convert(statusOf(err)); got.Code() != code || got.Message() != err.Error() {
			t.Errorf("got %v %q, want %v", got.Code(), got.Message(), code)
		}
	}
}
