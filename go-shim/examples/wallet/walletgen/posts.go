// Package walletgen makes random transactions and random questions about them, good and bad, for tests that compare
// implementations. The same seed gives the same sequence.
package walletgen

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

const (
	hourUS = 3_600_000_000
	dayUS  = 24 * hourUS
	// baseUS is 2023-12-30. A series from then on soon crosses a week, a month, a year and a leap day.
	baseUS = 1_703_894_400_000_000
	spanUS = 70 * dayUS
)

// Gen makes posts and questions. It uses few ids, so that most questions are about accounts and assets that exist.
type Gen struct {
	random *rand.Rand
	posted []*walletv1.PostTransactionRequest
	holds  []*walletv1.Entry
	made   int
	heavy  bool
}

// New starts a sequence. A heavy one also posts transactions so large that sums soon exceed int64.
func New(seed uint64, heavy bool) *Gen {
	return &Gen{random: rand.New(rand.NewPCG(seed, 0x67656e)), heavy: heavy}
}

// Post makes a request for PostTransaction. Most are valid. Some break one rule, some repeat an earlier request, and
// some release more than is held.
func (g *Gen) Post() *walletv1.PostTransactionRequest {
	if g.oneIn(12) && len(g.posted) > 0 {
		return g.repeat()
	}
	g.made++
	req := &walletv1.PostTransactionRequest{TransactionId: fmt.Sprintf("tx-%d", g.made), OccurredAtUs: g.time()}
	switch dice := g.random.IntN(20); {
	case dice < 9:
		g.transfer(req, g.amount())
	case dice < 11:
		req.External = true
		req.Entries = append(req.Entries, g.entry(g.amount()))
	case dice < 14:
		g.hold(req)
	case dice < 17 && len(g.holds) > 0:
		g.release(req)
	case dice < 18 && len(g.posted) > 0:
		g.creditNote(req)
	case dice < 20 && g.heavy:
		g.flood(req)
	default:
		for range 1 + g.random.IntN(4) {
			g.transfer(req, g.amount())
		}
	}
	if g.oneIn(10) {
		g.spoil(req)
	}
	g.posted = append(g.posted, req)
	return proto.CloneOf(req)
}

func (g *Gen) oneIn(n int) bool { return g.random.IntN(n) == 0 }

func pick[T any](g *Gen, from ...T) T { return from[g.random.IntN(len(from))] }

func (g *Gen) account() string { return fmt.Sprintf("acct-%d", g.random.IntN(6)) }
func (g *Gen) asset() string   { return pick(g, "GBP", "GBP", "GBP", "EUR", "A", "!~") }

func (g *Gen) counterparty() string {
	return pick(g, "", "shop", "Shop", "acct-1", "acct-2", "z", "~", "!")
}

// time returns a time, mostly within ten weeks and in no order. Some are the earliest or the latest valid time.
func (g *Gen) time() int64 {
	switch g.random.IntN(30) {
	case 0:
		return pick(g, int64(ledger.MinTimeUS), int64(ledger.MaxTimeUS), 0, -1)
	case 1:
		return baseUS + g.random.Int64N(spanUS/hourUS)*hourUS
	default:
		return baseUS + g.random.Int64N(spanUS)
	}
}

func (g *Gen) amount() int64 {
	switch g.random.IntN(12) {
	case 0:
		return ledger.MaxAmount
	case 1:
		return 1
	default:
		return 1 + g.random.Int64N(pick[int64](g, 10, 1000, 1_000_000))
	}
}

func (g *Gen) entry(amount int64) *walletv1.Entry {
	if g.oneIn(2) {
		amount = -amount
	}
	return &walletv1.Entry{
		AccountId: g.account(), Asset: g.asset(), Amount: amount, Phase: walletv1.Phase_PHASE_POSTED,
		Kind: pick(g, "", "gift", "Überweisung"), Counterparty: g.counterparty(),
	}
}

func (g *Gen) transfer(req *walletv1.PostTransactionRequest, amount int64) {
	from := g.entry(amount)
	to := proto.CloneOf(from)
	to.AccountId, to.Amount, to.Counterparty = g.account(), -from.GetAmount(), from.GetAccountId()
	req.Entries = append(req.Entries, from, to)
}

func (g *Gen) hold(req *walletv1.PostTransactionRequest) {
	req.External = true
	for range 1 + g.random.IntN(3) {
		e := g.entry(g.amount())
		e.Phase = walletv1.Phase_PHASE_HOLD
		req.Entries = append(req.Entries, e)
		g.holds = append(g.holds, e)
	}
}

// release releases earlier holds, some for the second time or only in part, and captures some of them.
func (g *Gen) release(req *walletv1.PostTransactionRequest) {
	req.External = true
	for range 1 + g.random.IntN(2) {
		e := proto.CloneOf(pick(g, g.holds...))
		e.Phase = walletv1.Phase_PHASE_RELEASE
		if g.oneIn(3) && e.GetAmount()/2 != 0 {
			e.Amount /= 2
		}
		req.Entries = append(req.Entries, e)
		if g.oneIn(2) {
			captured := proto.CloneOf(e)
			captured.Phase = walletv1.Phase_PHASE_POSTED
			req.Entries = append(req.Entries, captured)
		}
	}
	if g.oneIn(4) {
		g.hold(req)
	}
}

// creditNote reverses every entry of an earlier transaction.
func (g *Gen) creditNote(req *walletv1.PostTransactionRequest) {
	earlier := pick(g, g.posted...)
	req.External = earlier.GetExternal()
	for _, e := range earlier.GetEntries() {
		back := proto.CloneOf(e)
		back.Amount, back.Phase = -e.GetAmount(), walletv1.Phase_PHASE_POSTED
		req.Entries = append(req.Entries, back)
	}
}

// flood books the largest amount a thousand times on one account, which is the same for all floods.
func (g *Gen) flood(req *walletv1.PostTransactionRequest) {
	req.External = true
	e := g.entry(ledger.MaxAmount)
	e.AccountId, e.Asset = "acct-0", "GBP"
	e.Phase = pick(g, walletv1.Phase_PHASE_POSTED, walletv1.Phase_PHASE_POSTED, walletv1.Phase_PHASE_HOLD)
	for range ledger.MaxEntries {
		req.Entries = append(req.Entries, e)
	}
}

// repeat posts an earlier transaction_id again, with the same body or nearly so.
func (g *Gen) repeat() *walletv1.PostTransactionRequest {
	req := proto.CloneOf(pick(g, g.posted...))
	switch {
	case g.oneIn(2) || len(req.GetEntries()) == 0:
	case g.oneIn(2):
		req.OccurredAtUs++
	default:
		req.Entries[0].Kind += "x"
	}
	return req
}

// spoil changes req so that it breaks a rule.
func (g *Gen) spoil(req *walletv1.PostTransactionRequest) {
	e := proto.CloneOf(pick(g, req.GetEntries()...))
	i := g.random.IntN(len(req.GetEntries()))
	req.Entries[i] = e
	switch g.random.IntN(11) {
	case 0:
		req.TransactionId = pick(g, "", strings.Repeat("i", 65))
	case 1:
		req.OccurredAtUs = pick[int64](g, ledger.MinTimeUS-1, ledger.MaxTimeUS+1, -1<<63, 1<<63-1)
	case 2:
		req.Entries = nil
	case 3:
		e.AccountId = g.badID()
	case 4:
		e.Asset = pick(g, "", "seventeen-bytes-x", "G P", "£")
	case 5:
		e.Amount = pick[int64](g, 0, ledger.MaxAmount+1, -ledger.MaxAmount-1, -1<<63)
	case 6:
		e.Phase = pick[walletv1.Phase](g, 0, 4, -1)
	case 7:
		e.Kind = strings.Repeat("k", 33)
	case 8:
		e.Counterparty = strings.Repeat("c", 65)
	case 9:
		e.Amount, req.External = e.GetAmount()/2+1, false
	default:
		for len(req.GetEntries()) <= ledger.MaxEntries {
			req.Entries = append(req.Entries, e)
		}
	}
}

func (g *Gen) badID() string {
	return pick(g, "", "with space", "tab\t", "ünicode", strings.Repeat("a", 65), "\x7f")
}
