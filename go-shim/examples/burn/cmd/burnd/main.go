// Burnd answers BurnService: by itself, by a sidecar, or by Rust that is linked into it. The break-even report
// (`make break-even`) compares them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/examples/burn/burner"
	burnv1 "hotpath.dev/go-shim/examples/burn/gen/burn/v1"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimprom"
)

// gcSeconds selects the CPU time of garbage collection, which Prometheus' Go collector leaves out by default.
var gcSeconds = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)}

// usageError is a message about the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Without this the process dies when the reader of its log does.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// After the first signal the handler is removed, so a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdin, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	stop()
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "burnd:", err)
		os.Exit(64)
	default:
		fmt.Fprintln(os.Stderr, "burnd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, lifeline io.Reader, log *slog.Logger) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if c.lifeline {
		held, end := context.WithCancel(ctx)
		defer end()
		go func() {
			_, _ = io.Copy(io.Discard, lifeline)
			end()
		}()
		ctx = held
	}
	handler := service{burn: burner.New().Burn}
	if c.answer == "cgo" {
		if handler.burn, err = inProcess(); err != nil {
			return err
		}
	}
	kept := liveHeap(int(c.heapMiB) << 20)
	defer runtime.KeepAlive(kept)
	return serve(ctx, c, handler, log)
}

// serve runs the service until ctx ends. It shows all that a service must do to have a sidecar: call Open, give its
// server options to the server, register the service through Wrap, and call Check.
func serve(ctx context.Context, c config, handler burnv1.BurnServiceServer, log *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(gcSeconds)))
	side, err := shim.Open(ctx, shim.Config{
		Run: c.run(), Methods: hotMethods, Socket: c.socket, Supervisor: shim.Supervisor{Bin: c.sidecarBin},
		// The timeout is long because a request that falls back to the local handler does not measure the sidecar.
		HopTimeout: time.Second, Logger: log, Metrics: shimprom.New(registry),
		FrontDoor:  c.frontDoor,
		Experiment: experiment.Config{Hop: c.hop()},
		// The position tells a test who answered.
		CallerPositions: true,
	}, emptyLedger{})
	if err != nil {
		return err
	}
	defer side.Close()
	server := grpc.NewServer(side.ServerOptions([]grpc.ServerOption{grpc.NumStreamWorkers(uint32(c.streamWorkers))})...)
	burnv1.RegisterBurnServiceServer(side.Wrap(server), handler)
	if err := side.Check(); err != nil {
		return err
	}

	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	admin, err := net.Listen("tcp", c.admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", errors.Join(err, listener.Close()))
	}
	metrics := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = metrics.Serve(admin) }()
	defer metrics.Close()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer server.Stop()
	if err := c.announce(listener.Addr(), admin.Addr()); err != nil {
		return err
	}
	log.Info("serving", "grpc", listener.Addr().String(), "admin", admin.Addr().String(), "answer", c.answer)
	select {
	case err := <-failed:
		return fmt.Errorf("serve gRPC: %w", err)
	case <-ctx.Done():
		return nil
	}
}
