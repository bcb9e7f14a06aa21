package ledger

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func transfer() *walletv1.Transaction {
	return &walletv1.Transaction{TransactionId: "t", Entries: []*walletv1.Entry{
		{AccountId: "a", Asset: "GBP", Amount: -5, Phase: walletv1.Phase_PHASE_POSTED},
		{AccountId: "b", Asset: "GBP", Amount: 5, Phase: walletv1.Phase_PHASE_POSTED},
	}}
}

func TestValidateSaysWhichFieldBreaksWhichRule(t *testing.T) {
	type tx = walletv1.Transaction
	for want, spoil := range map[string]func(*tx){
		"":                                    func(*tx) {},
		"transaction_id: must be 1-64 bytes":  func(t *tx) { t.TransactionId = "" },
		"transaction_id: must be 1-64 bytes ": func(t *tx) { t.TransactionId = strings.Repeat("é", 33) },
		"occurred_at_us: must be from 0001-01-01 to 9999-12-31 UTC":                                           func(t *tx) { t.OccurredAtUs = MinTimeUS - 1 },
		"occurred_at_us: must be from 0001-01-01 to 9999-12-31 UTC ":                                          func(t *tx) { t.OccurredAtUs = MaxTimeUS + 1 },
		"entries: must be 1-1000":                                                                             func(t *tx) { t.Entries = nil },
		"entries: must be 1-1000 ":                                                                            func(t *tx) { t.Entries = make([]*walletv1.Entry, 1001) },
		"entries[1].account_id: must be 1-64 bytes of printable ASCII without spaces":                         func(t *tx) { t.Entries[1].AccountId = " " },
		"entries[1].asset: must be 1-16 bytes of printable ASCII without spaces":                              func(t *tx) { t.Entries[1].Asset = "" },
		"entries[0].amount: must be non-zero and at most 10^15 in size":                                       func(t *tx) { t.Entries[0].Amount = 0 },
		"entries[0].amount: must be non-zero and at most 10^15 in size ":                                      func(t *tx) { t.Entries[0].Amount = -1 << 63 },
		"entries[0].phase: must be POSTED, HOLD or RELEASE":                                                   func(t *tx) { t.Entries[0].Phase = 4 },
		"entries[0].kind: must be at most 32 bytes":                                                           func(t *tx) { t.Entries[0].Kind = strings.Repeat("k", 33) },
		"entries[0].counterparty: must be empty or 1-64 bytes of printable ASCII without spaces":              func(t *tx) { t.Entries[0].Counterparty = "\n" },
		"entries: must sum to zero per asset and phase unless external (GBP POSTED sums to -1)":               func(t *tx) { t.Entries[1].Amount = 4 },
		"entries: must sum to zero per asset and phase unless external (EUR POSTED sums to 5)":                func(t *tx) { t.Entries[1].Asset = "EUR" },
		"entries: must sum to zero per asset and phase unless external (GBP POSTED sums to 5)":                func(t *tx) { t.Entries[0].Phase = walletv1.Phase_PHASE_HOLD },
		"entries: must sum to zero per asset and phase unless external (GBP HOLD sums to 5)":                  func(t *tx) { t.Entries[0].Phase, t.Entries[1].Phase = 3, 2 },
		"entries: must sum to zero per asset and phase unless external (GBP POSTED sums to 2000000000000000)": func(t *tx) { t.Entries[0].Amount, t.Entries[1].Amount = MaxAmount, MaxAmount },
	} {
		tx := transfer()
		spoil(tx)
		err := Validate(tx)
		if want = strings.TrimSpace(want); want == "" && err == nil {
			continue
		}
		var verdict *Error
		if !errors.As(err, &verdict) || verdict.Error() != want || verdict.Kind != InvalidArgument {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestValidateLetsExternalTransactionsBeUneven(t *testing.T) {
	tx := transfer()
	tx.Entries = tx.Entries[:1]
	tx.External = true
	if err := Validate(tx); err != nil {
		t.Error(err)
	}
}

func TestAThousandOfTheLargestAmountsSum(t *testing.T) {
	tx := &walletv1.Transaction{TransactionId: "t"}
	for range MaxEntries {
		tx.Entries = append(tx.Entries, &walletv1.Entry{AccountId: "a", Asset: "X", Amount: MaxAmount, Phase: 1})
	}
	want := "(X POSTED sums to 1000000000000000000)"
	if err := Validate(tx); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEventsAreTheCanonicalEncodingWithoutUnknownFields(t *testing.T) {
	tx := transfer()
	tx.Position, tx.OccurredAtUs, tx.External = 77, -5, true
	tx.Entries[0].Kind, tx.Entries[0].Counterparty = "gift", "b"
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		t.Fatal(err)
	}
	tx.Entries[1].ProtoReflect().SetUnknown([]byte{0xfa, 0x3f, 1, 'u'})
	tx.ProtoReflect().SetUnknown([]byte{0xfa, 0x3f, 1, 'u'})
	body := AppendBody(nil, tx)
	got := AppendEvent(nil, 77, body)
	if string(got) != string(want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if !SameBody(got, body) || SameBody(got, body[1:]) {
		t.Error("an event has the body that it was made of, and no other")
	}
}

func TestInt128(t *testing.T) {
	big := Int128Of(1 << 62)
	for range 3 {
		big = big.Add(big)
	}
	for _, c := range []struct {
		v    Int128
		text string
		fits bool
	}{
		{Int128Of(-1), "-1", true},
		{Int128Of(1<<63 - 1).AddInt64(1), "9223372036854775808", false},
		{Int128Of(-1 << 63), "-9223372036854775808", true},
		{Int128Of(-1 << 63).AddInt64(-1), "-9223372036854775809", false},
		{big, "36893488147419103232", false},
		{Int128{}.Sub(big), "-36893488147419103232", false},
	} {
		back, ok := Int128FromBytes(c.v.Bytes())
		if _, fits := c.v.Int64(); fits != c.fits || c.v.Big().String() != c.text || !ok || back != c.v {
			t.Errorf("%v: %s, fits %v, from bytes %v", c, c.v.Big(), fits, back)
		}
		if c.v.Cmp(Int128{}) != c.v.Sign() || c.v.Sign() != c.v.Big().Sign() {
			t.Errorf("%s: sign %d", c.text, c.v.Sign())
		}
	}
	if Magnitude(-1<<63) != 1<<63 {
		t.Error("the smallest int64 has a size too")
	}
}

func TestBucketsHoldTheirInstants(t *testing.T) {
	for step := walletv1.Step_STEP_HOUR; step <= walletv1.Step_STEP_MONTH; step++ {
		for _, us := range []int64{MinTimeUS, -1, 0, 1, 1_709_251_199_999_999, 1_709_251_200_000_000, MaxTimeUS} {
			i := BucketIndex(step, us)
			if start, next := BucketStart(step, i), BucketStart(step, i+1); us < start || us >= next {
				t.Errorf("%v: %d is not in [%d, %d)", step, us, start, next)
			}
		}
	}
}
