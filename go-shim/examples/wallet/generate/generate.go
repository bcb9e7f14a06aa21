// Package generate makes up a ledger: skewed like real ones, and byte for byte the same for the same settings.
package generate

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const (
	batchSize = 50_000
	// startUS is 2020-01-01; bookings are spread over about five years from there.
	startUS         = 1_577_836_800_000_000
	spanUS          = 5 * 365 * dayUS
	dayUS           = 24 * hourUS
	hourUS          = 3_600_000_000
	maxHolds        = 256
	minAmountDigits = 2
	maxAmountDigits = 6
)

// Options say what to make up. The same ones give the same bytes.
type Options struct {
	Seed         uint64
	Accounts     int
	Transactions int
	// Progress, if set, is told now and then how many transactions there are.
	Progress func(done int)
}

// Ledger is where transactions go, [store.Store].
type Ledger interface {
	AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(accepted int) store.Mark) (store.Appended, error)
}

// Run posts the made-up ledger. Posting it again posts nothing twice.
func Run(ctx context.Context, ledger Ledger, options Options) (store.Appended, error) {
	var total store.Appended
	batches := make(chan []*walletv1.Transaction, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(batches)
		g := New(options)
		for made := 0; made < options.Transactions; {
			batch := make([]*walletv1.Transaction, min(batchSize, options.Transactions-made))
			for i := range batch {
				batch[i] = g.Next()
			}
			made += len(batch)
			select {
			case batches <- batch:
			case <-ctx.Done():
				return
			}
		}
	}()
	done := 0
	for batch := range batches {
		appended, err := ledger.AppendBatch(ctx, batch, false, nil)
		if err != nil {
			return total, fmt.Errorf("generate: %w", err)
		}
		total.Posted += appended.Posted
		total.Repeated += appended.Repeated
		if len(appended.Rejected) > 0 {
			return total, fmt.Errorf("generate: the store holds another ledger, use a new --db: %w", appended.Rejected[0].Err)
		}
		done += len(batch)
		if options.Progress != nil {
			options.Progress(done)
		}
	}
	return total, ctx.Err()
}

// Generator makes one transaction after the other.
type Generator struct {
	options Options
	random  *rand.Rand
	// order scatters the popular accounts over the id space.
	order []int32
	made  int
	nowUS int64
	holds []hold
	// last is a payment that may be reversed by a credit note.
	last *walletv1.Transaction
}

// hold is money reserved and not yet released.
type hold struct {
	account, asset, merchant string
	amount                   int64
}

// New makes a generator at its first transaction.
func New(options Options) *Generator {
	random := rand.New(rand.NewPCG(options.Seed, 0x77616c6c6574))
	order := make([]int32, options.Accounts)
	for i, v := range random.Perm(options.Accounts) {
		order[i] = int32(v)
	}
	return &Generator{
		options: options,
		random:  random,
		order:   order,
		nowUS:   startUS,
	}
}

// Next makes a valid transaction that the ledger accepts after the ones before it.
func (g *Generator) Next() *walletv1.Transaction {
	g.made++
	g.nowUS += g.random.Int64N(2*max(spanUS/int64(g.options.Transactions), 1)) + 1
	tx := &walletv1.Transaction{
		TransactionId: "gen-" + strconv.FormatUint(g.options.Seed, 10) + "-" + strconv.Itoa(g.made),
		OccurredAtUs:  g.nowUS,
	}
	// One in fifty arrives late, by up to ninety days.
	if g.random.IntN(50) == 0 {
		tx.OccurredAtUs -= g.random.Int64N(90 * dayUS)
	}
	switch dice := g.random.IntN(100); {
	case g.made <= min(10, g.options.Transactions/10), dice < 6:
		g.deposit(tx)
	case dice < 12:
		g.hold(tx)
	case dice < 18 && len(g.holds) > 0:
		g.settle(tx)
	case dice < 21 && g.last != nil:
		g.reverse(tx)
	case dice < 24:
		g.exchange(tx)
	default:
		g.pay(tx)
	}
	return tx
}

// account follows Zipf's law: rank r is picked with a probability of about 1/r. First a power of two, each as likely as
// the next, then a rank within it. That takes no floating point, which differs from one processor to the next.
func (g *Generator) account() string {
	for {
		octave := int64(1) << g.random.IntN(bits.Len(uint(g.options.Accounts)))
		if rank := octave + g.random.Int64N(octave); rank <= int64(g.options.Accounts) {
			return g.name(int(g.order[rank-1]))
		}
	}
}

func (g *Generator) name(account int) string { return "acct-" + strconv.Itoa(account) }

// pair gives two accounts, different unless there is only one.
func (g *Generator) pair() (from, to string) {
	from, to = g.account(), g.account()
	if from == to {
		to = g.name(g.random.IntN(g.options.Accounts))
	}
	return from, to
}

func (g *Generator) asset() string {
	switch dice := g.random.IntN(100); {
	case dice < 80:
		return "GBP"
	case dice < 92:
		return "EUR"
	case dice < 98:
		return "USD"
	default:
		return "COIN"
	}
}

// amount has as many digits as any other: small ones are far more frequent than large ones.
func (g *Generator) amount() int64 {
	low := int64(1)
	for range minAmountDigits - 1 + g.random.IntN(maxAmountDigits-minAmountDigits+1) {
		low *= 10
	}
	return low + g.random.Int64N(9*low)
}

func (g *Generator) pick(kinds ...string) string { return kinds[g.random.IntN(len(kinds))] }

func entry(account, asset string, amount int64, phase walletv1.Phase, kind, counterparty string) *walletv1.Entry {
	return &walletv1.Entry{
		AccountId: account, Asset: asset, Amount: amount, Phase: phase, Kind: kind, Counterparty: counterparty,
	}
}
