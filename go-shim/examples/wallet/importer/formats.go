package importer

import (
	"strconv"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Format names a CSV format.
type Format string

// These are the formats. The first three are of public data sets and have one transaction a row:
//
//	account_id,seq,timestamp,amount_minor,kind,counterparty,balance_after[,...]
//
// Generic is our own and has one entry a row. Consecutive rows with the same transaction_id are one transaction:
//
//	transaction_id,occurred_at,external,account_id,asset,amount_minor,phase,kind,counterparty
const (
	Berka   Format = "berka"
	CDNow   Format = "cdnow"
	UK      Format = "uk"
	Generic Format = "generic"
)

// Formats lists the formats.
func Formats() []Format { return []Format{Berka, CDNow, UK, Generic} }

// mapping says how rows become transactions.
type mapping struct {
	columns []string
	// foreign lists columns that only files of other formats have.
	foreign []string
	// grouped says that consecutive rows with the same id are one transaction. Otherwise every row is one.
	grouped bool
	id      func(r *row) string
	add     func(g *group, r *row)
	// fieldColumns names the column that a field of a transaction or an entry comes from.
	fieldColumns map[string]string
}

var bankColumns = map[string]string{
	"transaction_id": "seq", "occurred_at_us": "timestamp", "account_id": "account_id", "amount": "amount_minor",
	"kind": "kind", "counterparty": "counterparty",
}

var mappings = map[Format]mapping{
	Berka: {
		columns:      []string{"account_id", "seq", "timestamp", "amount_minor", "kind", "residual_minor"},
		id:           func(r *row) string { return bankID("berka:", r) },
		add:          addBerka,
		fieldColumns: bankColumns,
	},
	CDNow: {
		columns:      []string{"account_id", "seq", "timestamp", "amount_minor", "kind"},
		foreign:      []string{"residual_minor", "body"},
		id:           func(r *row) string { return bankID("cdnow:", r) },
		add:          addCDNow,
		fieldColumns: bankColumns,
	},
	UK: {
		columns:      []string{"account_id", "seq", "timestamp", "amount_minor", "kind", "counterparty", "body"},
		id:           func(r *row) string { return bankID("uk:", r) },
		add:          addUK,
		fieldColumns: bankColumns,
	},
	Generic: {
		columns: []string{
			"transaction_id", "occurred_at", "external", "account_id", "asset", "amount_minor", "phase", "kind", "counterparty",
		},
		grouped: true,
		id:      func(r *row) string { return r.text(0) },
		add:     addGeneric,
		fieldColumns: map[string]string{
			"transaction_id": "transaction_id", "occurred_at_us": "occurred_at", "account_id": "account_id",
			"asset": "asset", "amount": "amount_minor", "phase": "phase", "kind": "kind", "counterparty": "counterparty",
		},
	},
}

func bankID(prefix string, r *row) string { return prefix + r.text(0) + ":" + r.text(1) }

// addBerka adds the residual to the amount: the bank rounds the amounts that it prints, but not those that it books.
// The residual makes the balances right.
func addBerka(g *group, r *row) {
	printed, residual := r.integer(3), r.integer(5)
	for _, i := range []int{3, 5} {
		if ledger.Magnitude(r.integer(i)) > ledger.MaxAmount {
			r.reject(i, "must be at most 10^15 in size") // the sum of larger ones could overflow
		}
	}
	addExternal(g, r, "berka:", "CZK", "", printed+residual)
}

func addCDNow(g *group, r *row) { addExternal(g, r, "cdnow:", "USD", "cdnow", r.integer(3)) }

// addExternal maps a row that has only one side of a payment.
func addExternal(g *group, r *row, prefix, asset, counterparty string, amount int64) {
	g.skip = amount == 0
	g.tx = &walletv1.Transaction{
		TransactionId: bankID(prefix, r),
		OccurredAtUs:  r.date(2),
		External:      true,
		Entries: []*walletv1.Entry{{
			AccountId: prefix + r.text(0), Asset: asset, Amount: amount,
			Phase: walletv1.Phase_PHASE_POSTED, Kind: r.label(4), Counterparty: counterparty,
		}},
	}
}

// addUK maps a payment to an entry for each side.
func addUK(g *group, r *row) {
	amount := r.integer(3)
	g.skip = amount == 0
	if r.text(5) == "" {
		r.reject(5, "must not be empty")
	}
	payer, supplier, kind := "uk:"+r.text(0), "uk:"+r.text(5), r.label(4)
	g.tx = &walletv1.Transaction{
		TransactionId: payer + ":" + r.text(1),
		OccurredAtUs:  r.date(2),
		Entries: []*walletv1.Entry{
			{
				AccountId: payer, Asset: "GBP", Amount: amount,
				Phase: walletv1.Phase_PHASE_POSTED, Kind: kind, Counterparty: supplier,
			},
			{
				AccountId: supplier, Asset: "GBP", Amount: -amount,
				Phase: walletv1.Phase_PHASE_POSTED, Kind: kind, Counterparty: payer,
			},
		},
	}
}

func addGeneric(g *group, r *row) {
	occurredAtUS, external := r.instant(1), r.boolean(2)
	if g.tx == nil {
		g.tx = &walletv1.Transaction{TransactionId: r.label(0), OccurredAtUs: occurredAtUS, External: external}
	}
	if g.tx.GetOccurredAtUs() != occurredAtUS {
		r.reject(1, "must be the same in all rows of a transaction")
	}
	if g.tx.GetExternal() != external {
		r.reject(2, "must be the same in all rows of a transaction")
	}
	g.tx.Entries = append(g.tx.Entries, &walletv1.Entry{
		AccountId: r.text(3), Asset: r.text(4), Amount: r.integer(5), Phase: r.phase(6), Kind: r.label(7), Counterparty: r.text(8),
	})
}

func (r *row) phase(i int) walletv1.Phase {
	number, ok := walletv1.Phase_value["PHASE_"+strings.ToUpper(r.text(i))]
	if !ok || number == 0 {
		r.reject(i, "must be POSTED, HOLD or RELEASE")
	}
	return walletv1.Phase(number)
}

func (r *row) boolean(i int) bool {
	v, err := strconv.ParseBool(r.text(i))
	if err != nil && r.text(i) != "" {
		r.reject(i, "must be true, false or empty")
	}
	return v
}
