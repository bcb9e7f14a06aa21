package shim_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/metrics"
	"hotpath.dev/go-shim/shimprom"
	"hotpath.dev/go-shim/shimtest"
)

// registering is a Meter that calls back when Open registers its metrics, which is Open's last step.
type registering struct {
	metrics.Meter
	then func()
}

func (r registering) Register() (func(), error) {
	r.then()
	return r.Meter.Register()
}

func TestOpenIsGivenUpWhenItsContextEnds(t *testing.T) {
	cause := errors.New("the service starts no more")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for name, early := range map[string]bool{"before": true, "at its last step": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			registry := prometheus.NewRegistry()
			meter := registering{shimprom.New(registry), func() { cancel(cause) }}
			if early {
				cancel(cause)
			}
			side, err := shim.Open(ctx, shim.Config{Run: shim.Supervise, Supervisor: shim.Supervisor{Bin: "true"},
				Methods: []string{unaryCall}, Logger: slog.New(slog.DiscardHandler), Metrics: meter}, shimtest.NewLedger("l"))
			if side != nil || !errors.Is(err, cause) {
				t.Fatalf("got %v, %v", side, err)
			}
			if families, err := registry.Gather(); err != nil || len(families) != 0 {
				t.Errorf("%d metrics are left, %v", len(families), err)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestTheEndOfItsContextMeansNothingAfterOpen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ledger := shimtest.NewLedger("l")
	socket := filepath.Join(t.TempDir(), "s.sock")
	side, err := shim.Open(ctx, shim.Config{Run: shim.Attach, Socket: socket, Methods: []string{unaryCall},
		Logger: slog.New(slog.DiscardHandler)}, ledger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	cancel()
	sidecar := shimtest.Start(t, socket)
	eventually(t, "the sidecar is ready", func() bool { return side.Status().Ready })
	ledger.Append([]byte("event"))
	eventually(t, "it is fed", func() bool { return len(sidecar.Events()) == 1 })
}
