package main

import (
	"fmt"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// nextSteps returns a text with commands to try by hand on the ledger of this run.
func (d *demo) nextSteps() string {
	account := "ACCOUNT"
	asset := "ASSET"
	if busiest := d.traffic.mix.Busiest(1); len(busiest) > 0 {
		account, asset = busiest[0].Account, busiest[0].Asset
	}
	modes := d.config.Path("modes.toml")
	wallet := "wallet.v1.WalletService"
	return fmt.Sprintf(`Try it by hand
  serve this ledger again (Ctrl-C stops both):
    HOTPATHD_ADMIN=127.0.0.1:7452 %s serve --db %s --listen 127.0.0.1:7450 --admin 127.0.0.1:7451 \
      --sidecar supervise --sidecar-bin %s --sidecar-socket %s --modes %s \
      --front-door spliced
  ask the busiest account (reflection is on, so that no .proto is needed):
    alias grpcurl='go run github.com/fullstorydev/grpcurl/cmd/grpcurl@latest -plaintext'
    grpcurl 127.0.0.1:7450 list %s
    grpcurl -v -H 'x-hotpath-position: want' -d '{"account_id":"%s"}' 127.0.0.1:7450 %s/GetBalance
    grpcurl -d '{"account_id":"%s","asset":"%s","from_us":0,"to_us":4102444800000000,"percentiles":[5000,9900]}' \
      127.0.0.1:7450 %s/GetStatistics
  let Go answer instead, and back (the file is re-read while it serves):
    sed -i 's/= "%s"/= "%s"/' %s
    sed -i 's/= "%s"/= "%s"/' %s
  see who answered, and where the sidecar spends its time:
    curl -s 127.0.0.1:7451/metrics | grep hotpath_shim
    go tool pprof -top 'http://127.0.0.1:7452/debug/pprof/profile?seconds=5'
    curl -so flamegraph.svg 'http://127.0.0.1:7452/debug/pprof/flamegraph?seconds=5'
  this run: %s, logs in %s`,
		d.config.Walletd, d.config.Path(command.LedgerFile), d.config.Hotpathd, d.config.Path("hotpathd.sock"), modes,
		wallet, account, wallet, account, asset, wallet,
		rig.SidecarMode, rig.Legacy, modes, rig.Legacy, rig.SidecarMode, modes,
		d.config.Path("report.json"), d.config.Path("walletd.log"))
}
