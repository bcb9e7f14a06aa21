package versions

import (
	"fmt"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
)

func gift(position uint64, account, asset string) *walletv1.Transaction {
	return &walletv1.Transaction{Position: position, OccurredAtUs: -int64(position), Entries: []*walletv1.Entry{
		{AccountId: account, Asset: asset, Amount: 1, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: "shop"},
		{AccountId: account, Asset: asset, Amount: -1, Phase: walletv1.Phase_PHASE_HOLD},
	}}
}

// seen returns a text of all that a version shows of an account.
func seen(v *Version, account string, at uint64) (text string) {
	a, ok := v.Account(account, at)
	if !ok {
		return "nobody"
	}
	for _, h := range a.AppendHoldings(nil) {
		s := h.Standing()
		text += fmt.Sprintf("%s %d since %d; ", h.Asset, s.Entries, s.LastUS)
		if one, ok := a.Holding(h.Asset); !ok || one.Standing() != s || !h.Indexed && h.Log.Len() != int(s.Entries) {
			return "torn"
		}
	}
	return text
}

func TestVersionsKeepWhatTheyShow(t *testing.T) { keepWhatTheyShow(t, New()) }

func TestIndexedVersionsKeepWhatTheyShow(t *testing.T) {
	keepWhatTheyShow(t, NewIndexed(runs.Shape{Tail: 3, Indexed: 4, Inline: 8}))
	keepWhatTheyShow(t, NewIndexed(runs.DefaultShape()))
}

func keepWhatTheyShow(t *testing.T, l *Ledger) {
	t.Helper()
	versions := []*Version{l.Newest()}
	shown := []string{"nobody"}
	for n, asset := range []string{"GBP", "EUR", "GBP", "USD", "AAA", "EUR"} {
		l.Apply(gift(uint64(n+1), "a", asset))
		versions = append(versions, l.Newest())
		shown = append(shown, seen(l.Newest(), "a", uint64(n+1)))
	}
	if want := "AAA 2 since -5; EUR 4 since -2; GBP 4 since -1; USD 2 since -4; "; shown[6] != want {
		t.Errorf("got %q", shown[6])
	}
	// There are enough accounts for several leaves, twigs and boughs.
	const many = 10_000
	for n := range uint64(many) {
		l.Apply(gift(uint64(len(shown))+n, fmt.Sprint(n), "GBP"))
	}
	newest := l.Newest()
	for at, want := range shown {
		if got := seen(versions[at], "a", uint64(at)); got != want {
			t.Errorf("version %d shows %q, showed %q", at, got, want)
		}
		if got := seen(newest, "a", uint64(at)); got != want {
			t.Errorf("the newest version at %d shows %q, want %q", at, got, want)
		}
		if got := seen(versions[at], "7", uint64(at)); got != "nobody" {
			t.Errorf("version %d shows %q of an account to come", at, got)
		}
	}
	if newest.Accounts != many+1 || newest.Entries != 2*(many+6) || versions[2].Accounts != 1 || versions[2].Entries != 4 {
		t.Errorf("%d accounts, %d entries; of old %d, %d", newest.Accounts, newest.Entries, versions[2].Accounts, versions[2].Entries)
	}
	if got := seen(newest, "shop", newest.Position); got != "nobody" {
		t.Errorf("being a counterparty is not existing: %q", got)
	}
	for n := range many {
		if got, want := seen(newest, fmt.Sprint(n), newest.Position), fmt.Sprintf("GBP 2 since %d; ", -(n+7)); got != want {
			t.Fatalf("account %d shows %q, want %q", n, got, want)
		}
	}
}
