package service

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Interceptors returns the interceptors of the server, outermost first. None of them looks at messages.
func Interceptors(metrics *Metrics, loaded *atomic.Bool, log *slog.Logger) []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{metrics.intercept, recoverPanics(log), requireLoaded(loaded)}
}

// recoverPanics turns a panic into an INTERNAL status of that one call.
func recoverPanics(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic in a call", "method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
				resp, err = nil, status.Error(codes.Internal, "internal error: the service's log says more")
			}
		}()
		return handler(ctx, req)
	}
}

// requireLoaded refuses wallet calls until the ledger is loaded. Before that, the service would answer NOT_FOUND for
// accounts that exist.
func requireLoaded(loaded *atomic.Bool) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if !loaded.Load() && strings.HasPrefix(info.FullMethod, "/"+walletv1.WalletService_ServiceDesc.ServiceName+"/") {
			return nil, status.Error(codes.Unavailable, "the ledger is still being loaded: try again shortly")
		}
		return handler(ctx, req)
	}
}

// Metrics are the service's Prometheus metrics.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "walletd_requests_total",
			Help: "Calls answered, by full method and status code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "walletd_request_seconds",
			Help:    "Time in the handler, by full method.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 3, 14),
		}, []string{"method"}),
	}
	registerer.MustRegister(m.requests, m.seconds)
	return m
}

func (m *Metrics) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handler(ctx, req)
	m.requests.WithLabelValues(info.FullMethod, status.Code(err).String()).Inc()
	m.seconds.WithLabelValues(info.FullMethod).Observe(time.Since(start).Seconds())
	return resp, err
}
