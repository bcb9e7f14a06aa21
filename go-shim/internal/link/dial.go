package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/quiet"
	"hotpath.dev/go-shim/internal/wire"
)

// A local hop must never wait for flow control, so the windows are large.
const (
	streamWindowBytes = 1 << 20
	connWindowBytes   = 4 << 20
)

// target only has to name a Unix socket, which makes the authority "localhost". The dialer has the connection already.
const target = "unix:sidecar"

// ErrLost is the error that ends a session.
var ErrLost = errors.New("a connection to the sidecar was lost")

// dial connects before it makes a ClientConn. An absent sidecar, the most common failure, then costs one system call.
func dial(ctx context.Context, socket string) (*grpc.ClientConn, error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target,
		grpc.WithContextDialer(only(quiet.Wrap(raw))),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithIdleTimeout(0),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: pingEvery, Timeout: pingTimeout, PermitWithoutStream: true,
		}),
		grpc.WithInitialWindowSize(streamWindowBytes),
		grpc.WithInitialConnWindowSize(connWindowBytes),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: grpcbackoff.Config{
				BaseDelay: 20 * time.Millisecond, Multiplier: 2, Jitter: .2, MaxDelay: 250 * time.Millisecond,
			},
			// This must not end before greetTimeout, which tells a sidecar that hangs from one that refuses.
			MinConnectTimeout: 2 * greetTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New(nil))))
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			return nil, errors.Join(fmt.Errorf("no HTTP/2 on the socket (%v)", state), ctx.Err(), conn.Close())
		}
	}
	return conn, nil
}

// only hands out the connection once, because a later one would not have been greeted.
func only(conn net.Conn) func(context.Context, string) (net.Conn, error) {
	var used atomic.Bool
	return func(context.Context, string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, ErrLost
		}
		return conn, nil
	}
}

// dialLane connects for a lane, which needs nothing of grpc-go.
func dialLane(ctx context.Context, socket string) (*wire.Conn, error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return wire.New(quiet.Wrap(raw), wire.Config{
		StreamWindow: streamWindowBytes, ConnWindow: connWindowBytes,
		PingEvery: pingEvery, PingTimeout: pingTimeout, Authority: "localhost",
	}), nil
}

func awaitLoss(ctx context.Context, conn *grpc.ClientConn) error {
	if conn.WaitForStateChange(ctx, connectivity.Ready) {
		return ErrLost
	}
	return ctx.Err()
}

func awaitLossOfLane(ctx context.Context, conn *wire.Conn) error {
	select {
	case <-conn.Lost():
		return ErrLost
	case <-ctx.Done():
		return ctx.Err()
	}
}
