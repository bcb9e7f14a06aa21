// Clients asks walletd and its sidecar through each front door by real clients of gRPC and HTTP/2, and compares: behind the
// spliced doors every client must see what it sees behind the stock ones.
//
//	ledger ──> four doors ──> the answers' clients: the same questions, reply by reply
//	                     ├──> load generators: how many calls succeeded, and how long all replies were
//	                     └──> h2spec: which cases pass
//
// .ci/clients installs the clients and starts this program.
package main

import (
	"context"
	"os"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

func main() {
	os.Exit(command.Command[config]{
		Name: "clients", Configure: configure, Interrupted: "Interrupted; all doors are closed.",
		Run: func(ctx context.Context, c config, say *console.Console) (bool, error) {
			return newRun(c, say).run(ctx)
		},
	}.Main())
}
