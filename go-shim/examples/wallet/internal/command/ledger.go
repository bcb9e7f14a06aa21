package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// Ledger describes a generated ledger: its programs, its size, and the folder for it and for all other output.
type Ledger struct {
	Walletd, Hotpathd, Out string
	// Seed also seeds the questions and the posted transactions.
	Seed uint64
	// Accounts is how many accounts the ledger may have. Most of its Transactions have two entries.
	Accounts, Transactions int
}

// LedgerFile is the name of the ledger's file in Out.
const LedgerFile = "ledger.db"

// Flags adds the flags that set the fields of l. The present values of Accounts and Transactions are their defaults.
func (l *Ledger) Flags(flags *Flags, outUsage string) {
	flags.Built(&l.Walletd, "walletd", "target/bin/walletd")
	flags.Built(&l.Hotpathd, "hotpathd", "target/release/hotpathd")
	flags.StringVar(&l.Out, "out", "target/"+flags.Name(), outUsage)
	flags.Uint64Var(&l.Seed, "seed", 1, "seeds the ledger, the questions and the transactions")
	flags.Count(&l.Accounts, "accounts", l.Accounts, "accounts that the ledger may have")
	flags.Count(&l.Transactions, "transactions", l.Transactions, "transactions of the ledger")
}

// Path returns the path of a file in Out.
func (l *Ledger) Path(name string) string { return filepath.Join(l.Out, name) }

// Clear removes the files of an earlier run. It removes them by name, because Out may hold other files.
func (l *Ledger) Clear(results ...string) error {
	if err := os.MkdirAll(l.Out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, name := range append(results,
		LedgerFile, LedgerFile+"-wal", LedgerFile+"-shm", "modes.toml", "differences", "generate.log", "walletd.log",
		"walletd.ready.json", "hotpathd.sock", "hotpathd.sock.ready", "hotpathd.sock.1", "hotpathd.sock.1.ready",
	) {
		if err := os.RemoveAll(l.Path(name)); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

// Generate writes the ledger.
func (l *Ledger) Generate(ctx context.Context) error {
	return proc.Run(proc.Spec{
		Name: "walletd generate", Bin: l.Walletd, Log: l.Path("generate.log"),
		Args: []string{
			"generate", "--db", l.Path(LedgerFile), "--seed", fmt.Sprint(l.Seed),
			"--accounts", fmt.Sprint(l.Accounts), "--transactions", fmt.Sprint(l.Transactions),
		},
	}, ctx.Done())
}
