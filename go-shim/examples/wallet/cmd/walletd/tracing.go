package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"hotpath.dev/go-shim/shimotel"
	"hotpath.dev/go-shim/tracing"
)

var errOTLP = errors.New("must be a URL, such as http://127.0.0.1:4317")

// checkOTLP says whether it is an endpoint that --otlp can mean.
func checkOTLP(endpoint string) error {
	parsed, err := url.Parse(endpoint)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return errOTLP
	}
	return nil
}

// openTracing returns a tracer whose spans go to the collector at endpoint, by gRPC. Without an endpoint it is nil. end sends
// what is left.
func openTracing(ctx context.Context, endpoint string, log *slog.Logger) (tracer tracing.Tracer, end func(), err error) {
	if endpoint == "" {
		return nil, func() {}, nil
	}
	// The exporter connects later, and again and again, so an error here is one of the settings.
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("--otlp: %w", err)
	}
	// What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say wins.
	who, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "walletd")), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans are lost", "endpoint", endpoint, "error", err) }))
	// Callers decide what is traced. Otherwise each of many thousand reads a second would begin a trace.
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(who),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	end = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last spans are lost", "endpoint", endpoint, "error", err)
		}
	}
	return shimotel.New(provider), end, nil
}
