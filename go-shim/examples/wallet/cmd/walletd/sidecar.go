package main

import (
	"context"
	"log/slog"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// hotMethods are the reads that the sidecar takes over.
var hotMethods = []string{
	walletv1.WalletService_GetBalance_FullMethodName,
	walletv1.WalletService_BatchGetBalances_FullMethodName,
	walletv1.WalletService_GetStatistics_FullMethodName,
	walletv1.WalletService_GetTopCounterparties_FullMethodName,
	walletv1.WalletService_GetTimeSeries_FullMethodName,
}

// sidecarConfig is what the command line says about the sidecar.
type sidecarConfig struct{ run, bin, socket, modes string }

func (c *sidecarConfig) flags(f *flags) {
	f.StringVar(&c.run, "sidecar", shim.Off.String(), "who runs the sidecar: off (none), supervise (walletd), attach (something else)")
	f.StringVar(&c.bin, "sidecar-bin", "hotpathd", "the sidecar's program, a path or a name on PATH")
	f.StringVar(&c.socket, "sidecar-socket", "", "the sidecar's Unix socket; attach needs it")
	f.StringVar(&c.modes, "modes", "", "TOML file that says who answers a hot read, legacy or sidecar; re-read when it changes")
}

func openSidecar(ctx context.Context, c sidecarConfig, ledger *store.Store, t *telemetry, log *slog.Logger) (*shim.Side, error) {
	run, err := shim.ParseRun(c.run)
	if err != nil {
		return nil, usageError("--sidecar " + c.run + ": " + err.Error())
	}
	return shim.Open(ctx, shim.Config{
		Run: run, Methods: hotMethods, Socket: c.socket, Supervisor: shim.Supervisor{Bin: c.bin}, ModesFile: c.modes,
		// None of the interceptors looks at messages.
		Interceptors: shim.Raw, Logger: log, Metrics: t.registry,
	}, ledger)
}
