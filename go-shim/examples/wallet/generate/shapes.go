package generate

import walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"

const (
	posted  = walletv1.Phase_PHASE_POSTED
	held    = walletv1.Phase_PHASE_HOLD
	release = walletv1.Phase_PHASE_RELEASE
)

// pay moves money from one account to another.
func (g *Generator) pay(tx *walletv1.Transaction) {
	from, to := g.pair()
	g.transfer(tx, from, to, g.asset(), g.amount(), g.pick("payment", "gift", "fee", "rent", "salary"))
	g.last = tx
}

func (g *Generator) transfer(tx *walletv1.Transaction, from, to, asset string, amount int64, kind string) {
	tx.Entries = append(tx.Entries,
		entry(from, asset, -amount, posted, kind, to),
		entry(to, asset, amount, posted, kind, from))
}

// deposit brings money in from outside. One in four takes money out instead.
func (g *Generator) deposit(tx *walletv1.Transaction) {
	tx.External = true
	amount, kind := 10*g.amount(), "deposit"
	if g.random.IntN(4) == 0 {
		amount, kind = -amount/20, "withdrawal"
	}
	tx.Entries = append(tx.Entries, entry(g.account(), g.asset(), amount, posted, kind, ""))
}

// hold reserves money at the payer, as a card terminal does.
func (g *Generator) hold(tx *walletv1.Transaction) {
	tx.External = true
	payer, merchant := g.pair()
	h := hold{payer, g.asset(), merchant, g.amount()}
	tx.Entries = append(tx.Entries, entry(h.account, h.asset, -h.amount, held, "card", h.merchant))
	if len(g.holds) < maxHolds {
		g.holds = append(g.holds, h)
	}
}

// settle ends a hold. One in four is only released. The others are also captured, one in three of these only in part.
func (g *Generator) settle(tx *walletv1.Transaction) {
	tx.External = true
	i := g.random.IntN(len(g.holds))
	h := g.holds[i]
	g.holds[i] = g.holds[len(g.holds)-1]
	g.holds = g.holds[:len(g.holds)-1]
	tx.Entries = append(tx.Entries, entry(h.account, h.asset, -h.amount, release, "card", h.merchant))
	dice := g.random.IntN(4)
	if dice == 0 {
		return
	}
	amount := h.amount
	if dice == 1 {
		amount = 1 + g.random.Int64N(amount)
	}
	g.transfer(tx, h.account, h.merchant, h.asset, amount, "card")
}

// reverse books a credit note that gives the last payment back in full.
func (g *Generator) reverse(tx *walletv1.Transaction) {
	for _, e := range g.last.GetEntries() {
		tx.Entries = append(tx.Entries,
			entry(e.GetAccountId(), e.GetAsset(), -e.GetAmount(), posted, "credit_note", e.GetCounterparty()))
	}
	g.last = nil
}

// exchange swaps two assets between two accounts in one transaction.
func (g *Generator) exchange(tx *walletv1.Transaction) {
	from, to := g.pair()
	g.transfer(tx, from, to, "GBP", g.amount(), "exchange")
	g.transfer(tx, to, from, "EUR", g.amount(), "exchange")
}
