// Package generate makes up a ledger that is skewed like real ones. The same options give the same bytes.
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
	// startUS is 2020-01-01. Transactions spread over about five years from then on.
	startUS         = 1_577_836_800_000_000
	spanUS          = 5 * 365 * dayUS
	dayUS           = 24 * hourUS
	hourUS          = 3_600_000_000
	maxHolds        = 256
	minAmountDigits = 2
	maxAmountDigits = 6
	// accountsPerPayer is how many accounts there are for each payer of [Spending].
	accountsPerPayer = 16
)

// Shape says who has how many entries.
type Shape string

const (
	// Wallet is a crowd in which anybody pays anybody, some far more often than others (Zipf).
	Wallet Shape = "wallet"
	// Spending is a register of payments by public bodies: few payers, of which one makes two in five payments, and many
	// suppliers. It is about as skewed as uk_spending (see e2e/data): with 44,000 accounts and 2,100,000 transactions
	// half of the accounts have about 10 entries, one payer in a hundred has thousands, and one has some 860,000.
	Spending Shape = "spending"
)

// Shapes lists the shapes, for usage texts.
func Shapes() []string { return []string{string(Wallet), string(Spending)} }

// Options says what to make up.
type Options struct {
	Seed         uint64
	Accounts     int
	Transactions int
	// Shape is [Wallet] if it is empty.
	Shape Shape
	// Progress, if set, is called after each batch with the number of transactions so far.
	Progress func(done int)
}

// Ledger takes the transactions. [store.Store] implements it.
type Ledger interface {
	AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(accepted int) store.Mark) (store.Appended, error)
}

// Run posts the made-up ledger. If it runs again it posts nothing twice.
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
	// last is the last payment, which a credit note may reverse.
	last *walletv1.Transaction
}

// hold is money reserved and not yet released.
type hold struct {
	account, asset, merchant string
	amount                   int64
}

// New returns a generator at its first transaction.
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

// Next returns a valid transaction, which the ledger accepts if it has the ones before.
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

// account picks an account by Zipf's law: the probability of rank r is about proportional to 1/r. It picks a power of
// two, all with the same probability, and then a rank between that and the next power. This needs no floating point,
// whose results can differ between processors.
func (g *Generator) account() string { return g.oneOf(g.order) }

func (g *Generator) oneOf(ranked []int32) string {
	for {
		octave := int64(1) << g.random.IntN(bits.Len(uint(len(ranked))))
		if rank := octave + g.random.Int64N(octave); rank <= int64(len(ranked)) {
			return g.name(int(ranked[rank-1]))
		}
	}
}

// payer picks a payer of [Spending]. Each power of two is three fifths as likely as the one before, which is steeper than
// Zipf's law. One payment in 150 comes from any payer, all alike, so that the rarest have some entries too.
func (g *Generator) payer(ranked []int32) string {
	if g.random.IntN(150) == 0 {
		return g.name(int(ranked[g.random.IntN(len(ranked))]))
	}
	octaves := bits.Len(uint(len(ranked)))
	for {
		power := 0
		for g.random.IntN(5) >= 2 {
			power = (power + 1) % octaves
		}
		octave := int64(1) << power
		if rank := octave + g.random.Int64N(octave); rank <= int64(len(ranked)) {
			return g.name(int(ranked[rank-1]))
		}
	}
}

func (g *Generator) name(account int) string { return "acct-" + strconv.Itoa(account) }

// pair returns who pays and who is paid, which are rarely the same.
func (g *Generator) pair() (from, to string) {
	if payers := len(g.order) / accountsPerPayer; g.options.Shape == Spending && payers > 0 {
		return g.payer(g.order[:payers]), g.oneOf(g.order[payers:])
	}
	from, to = g.account(), g.account()
	if from == to {
		to = g.name(g.random.IntN(g.options.Accounts))
	}
	return from, to
}

func (g *Generator) asset() string {
	if g.options.Shape == Spending {
		return "GBP"
	}
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

// amount returns an amount of minAmountDigits to maxAmountDigits digits. Each number of digits is equally likely, so
// small amounts are far more frequent than large ones.
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
