package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	ruleAccount      = "must be 1-64 bytes of printable ASCII without spaces"
	ruleAsset        = "must be 1-16 bytes of printable ASCII without spaces"
	ruleTime         = "must be from 0001-01-01 to 9999-12-31 UTC"
	ruleTransaction  = "must be 1-64 bytes"
	ruleEntries      = "must be 1-1000"
	ruleAmount       = "must be non-zero and at most 10^15 in size"
	rulePhase        = "must be POSTED, HOLD or RELEASE"
	ruleKind         = "must be at most 32 bytes"
	ruleCounterparty = "must be empty or 1-64 bytes of printable ASCII without spaces"
)

// Validate checks everything about a transaction that does not depend on the ledger's contents. It ignores the
// position.
func Validate(tx *walletv1.Transaction) error {
	if err := checkTransactionID(tx.GetTransactionId()); err != nil {
		return err
	}
	if err := checkTime("occurred_at_us", tx.GetOccurredAtUs()); err != nil {
		return err
	}
	if n := len(tx.GetEntries()); n < 1 || n > MaxEntries {
		return invalid("entries", ruleEntries)
	}
	for i, e := range tx.GetEntries() {
		if field, rule := brokenRule(e); field != "" {
			return invalid("entries["+strconv.Itoa(i)+"]."+field, rule)
		}
	}
	if tx.GetExternal() {
		return nil
	}
	return checkSums(tx.GetEntries())
}

func brokenRule(e *walletv1.Entry) (field, rule string) {
	switch {
	case !isToken(e.GetAccountId(), MaxAccountIDBytes):
		return "account_id", ruleAccount
	case !isToken(e.GetAsset(), MaxAssetBytes):
		return "asset", ruleAsset
	case e.GetAmount() == 0 || Magnitude(e.GetAmount()) > MaxAmount:
		return "amount", ruleAmount
	case e.GetPhase() < walletv1.Phase_PHASE_POSTED || e.GetPhase() > walletv1.Phase_PHASE_RELEASE:
		return "phase", rulePhase
	case len(e.GetKind()) > MaxKindBytes:
		return "kind", ruleKind
	case e.GetCounterparty() != "" && !isToken(e.GetCounterparty(), MaxAccountIDBytes):
		return "counterparty", ruleCounterparty
	}
	return "", ""
}

type assetPhase struct {
	asset string
	phase walletv1.Phase
}

// checkSums needs entries that passed brokenRule: 1,000 amounts of at most 10^15 cannot overflow an int64.
func checkSums(entries []*walletv1.Entry) error {
	if isPair(entries) {
		return nil
	}
	sums := make(map[assetPhase]int64, 2)
	for _, e := range entries {
		sums[assetPhase{e.GetAsset(), e.GetPhase()}] += e.GetAmount()
	}
	var offending []assetPhase
	for key, sum := range sums {
		if sum != 0 {
			offending = append(offending, key)
		}
	}
	if len(offending) == 0 {
		return nil
	}
	first := slices.MinFunc(offending, func(a, b assetPhase) int {
		return cmp.Or(strings.Compare(a.asset, b.asset), cmp.Compare(a.phase, b.phase))
	})
	phase := strings.TrimPrefix(first.phase.String(), "PHASE_")
	return invalid("entries", fmt.Sprintf("must sum to zero per asset and phase unless external (%s %s sums to %d)",
		first.asset, phase, sums[first]))
}

// isPair returns whether the entries are a plain transfer. That is by far the most common transaction, and needs no
// map.
func isPair(entries []*walletv1.Entry) bool {
	if len(entries) != 2 {
		return false
	}
	a, b := entries[0], entries[1]
	return a.GetAmount() == -b.GetAmount() && a.GetPhase() == b.GetPhase() && a.GetAsset() == b.GetAsset()
}

// isToken returns whether s is printable ASCII without spaces, of 1 to most bytes.
func isToken(s string, most int) bool {
	if len(s) < 1 || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func checkTransactionID(id string) error {
	if len(id) < 1 || len(id) > MaxTransactionIDBytes {
		return invalid("transaction_id", ruleTransaction)
	}
	return nil
}

func checkAccount(field, id string) error {
	if !isToken(id, MaxAccountIDBytes) {
		return invalid(field, ruleAccount)
	}
	return nil
}

func checkAsset(asset string) error {
	if !isToken(asset, MaxAssetBytes) {
		return invalid("asset", ruleAsset)
	}
	return nil
}

func checkTime(field string, us int64) error {
	if us < MinTimeUS || us > MaxTimeUS {
		return invalid(field, ruleTime)
	}
	return nil
}
