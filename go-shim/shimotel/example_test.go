package shimotel_test

import (
	"context"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimotel"
)

// A service has a provider already, with an exporter and a sampler of its choice.
func Example() {
	provider := sdktrace.NewTracerProvider()
	defer func() { _ = provider.Shutdown(context.Background()) }()

	config := shim.Config{Run: shim.Supervise, Methods: []string{"/my.Service/Read"}}
	config.Tracer = shimotel.New(provider)
}
