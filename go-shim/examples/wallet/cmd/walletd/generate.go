package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/generate"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const generateUsage = `usage: walletd generate --db PATH [--seed N] [--accounts N] [--transactions N] [--shape wallet|spending]

Posts a made-up ledger to the store at PATH: payments between accounts of very unequal popularity (Zipf), deposits and
withdrawals, holds with their releases and captures, credit notes, several assets, some bookings back-dated. The same
flags always give the same transactions; running it again posts nothing twice. With --shape spending few accounts pay
and many are paid, and one makes two in five payments, as in a register of what public bodies spend.

example:
  walletd generate --db wallet.db --seed 1 --accounts 50000 --transactions 500000`

func runGenerate(ctx context.Context, args []string, out streams) error {
	f := newFlags("generate", generateUsage, false)
	db := f.String("db", "", "the store, a file that is created if need be")
	var options store.Options
	f.takeEmpty(&options.New)
	seed := f.number("seed", 1, 0, 1<<62, "another seed, another ledger")
	accounts := f.number("accounts", 10_000, 1, 10_000_000, "how many accounts may take part")
	transactions := f.number("transactions", 100_000, 1, 100_000_000, "how many transactions to make")
	shape := f.String("shape", string(generate.Wallet), "who has how many entries: "+strings.Join(generate.Shapes(), ", "))
	f.required = []string{"db"}
	if _, err := f.parse(args, out); err != nil {
		return err
	}
	if !slices.Contains(generate.Shapes(), *shape) {
		f.mistake("--shape %q: must be one of %s", *shape, strings.Join(generate.Shapes(), ", "))
	}
	if err := f.check(); err != nil {
		return err
	}
	ledger, err := store.Open(ctx, *db, options)
	if err != nil {
		return err
	}
	bar := newProgress(out.stderr)
	total, err := generate.Run(ctx, ledger, generate.Options{
		Seed: uint64(*seed), Accounts: int(*accounts), Transactions: int(*transactions), Shape: generate.Shape(*shape),
		Progress: func(done int) { bar.show(*db, int64(done), *transactions, int64(done), "transactions") },
	})
	bar.done()
	if err == nil {
		fmt.Fprintf(out.stdout, "%s: %d transactions posted, %d posted before\n", *db, total.Posted, total.Repeated)
	}
	return errors.Join(err, ledger.Close())
}
