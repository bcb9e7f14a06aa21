package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// Ledger is a generated one: its programs, its size, and the folder that it and all else is written to.
type Ledger struct {
	Walletd, Hotpathd, Out string
	// Seed is that of the questions and the posted transactions too.
	Seed uint64
	// Accounts that it may have; two entries to most Transactions.
	Accounts, Transactions int
}

// LedgerFile is its name in Out.
const LedgerFile = "ledger.db"

// Flags are those that say it. The values that it has are the defaults.
func (l *Ledger) Flags(flags *Flags, outUsage string) {
	flags.Built(&l.Walletd, "walletd", "target/bin/walletd")
	flags.Built(&l.Hotpathd, "hotpathd", "target/release/hotpathd")
	flags.StringVar(&l.Out, "out", "target/"+flags.Name(), outUsage)
	flags.Uint64Var(&l.Seed, "seed", 1, "seeds the ledger, the questions and the transactions")
	flags.Count(&l.Accounts, "accounts", l.Accounts, "accounts that the ledger may have")
	flags.Count(&l.Transactions, "transactions", l.Transactions, "transactions of the ledger")
}

// Path is that of a file in Out.
func (l *Ledger) Path(name string) string { return filepath.Join(l.Out, name) }

// Clear removes what an earlier run left, by name: Out may hold other things.
func (l *Ledger) Clear(results ...string) error {
	if err := os.MkdirAll(l.Out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, name := range append(results,
		LedgerFile, LedgerFile+"-wal", LedgerFile+"-shm", "modes.toml", "differences", "generate.log", "walletd.log",
		"walletd.ready.json", "hotpathd.sock", "hotpathd.sock.ready",
	) {
		if err := os.RemoveAll(l.Path(name)); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

// Generate writes it.
func (l *Ledger) Generate(ctx context.Context) error {
	return proc.Run(proc.Spec{
		Name: "walletd generate", Bin: l.Walletd, Log: l.Path("generate.log"),
		Args: []string{
			"generate", "--db", l.Path(LedgerFile), "--seed", fmt.Sprint(l.Seed),
			"--accounts", fmt.Sprint(l.Accounts), "--transactions", fmt.Sprint(l.Transactions),
		},
	}, ctx.Done())
}
