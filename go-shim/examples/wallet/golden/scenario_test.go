package golden

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

const (
	posted  = walletv1.Phase_PHASE_POSTED
	hold    = walletv1.Phase_PHASE_HOLD
	release = walletv1.Phase_PHASE_RELEASE

	// begin and end are a window that holds everything but the very last instant.
	begin = int64(ledger.MinTimeUS)
	end   = int64(ledger.MaxTimeUS)
)

// scenario is the source of one golden file: a ledger and questions about it.
type scenario struct {
	name, description string
	events            []*walletv1.Transaction
	cases             []goldCase
}

func scenarios() []*scenario {
	return []*scenario{balances(), batches(), statistics(), counterparties(), series(), overflow()}
}

// book adds the next transaction. It is external, so that its entries need not sum to zero.
func (s *scenario) book(when string, entries ...*walletv1.Entry) {
	s.events = append(s.events, &walletv1.Transaction{
		TransactionId: fmt.Sprintf("t%d", len(s.events)+1), OccurredAtUs: at(when), External: true, Entries: entries,
	})
}

func (s *scenario) head() uint64 { return uint64(len(s.events)) }

// ask adds a question at the head. The type of the request names the method.
func (s *scenario) ask(name string, req proto.Message) { s.askAt(name, s.head(), req) }

func (s *scenario) askAt(name string, position uint64, req proto.Message) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		panic(err)
	}
	s.askRaw(name, position, req, encoded)
}

// askRaw adds a question whose encoding is given. It may be one that no encoder makes. The type of req names the
// method.
func (s *scenario) askRaw(name string, position uint64, req proto.Message, encoded []byte) {
	method := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
	s.cases = append(s.cases, goldCase{
		Name: name, Method: "/wallet.v1.WalletService/" + method, Position: position, Request: encoded,
	})
}

// at returns a date, or a time with up to six decimals of a second, in Unix microseconds.
func at(when string) int64 {
	for _, layout := range []string{"2006-01-02T15:04:05.999999", time.DateOnly} {
		if t, err := time.Parse(layout, when); err == nil {
			return t.UnixMicro()
		}
	}
	panic("no time: " + when)
}

func on(account, asset string, amount int64, phase walletv1.Phase, counterparty string) *walletv1.Entry {
	return &walletv1.Entry{
		AccountId: account, Asset: asset, Amount: amount, Phase: phase, Kind: "golden", Counterparty: counterparty,
	}
}

func gbp(account string, amount int64) *walletv1.Entry { return on(account, "GBP", amount, posted, "") }

// badIDs returns account ids that every method refuses, each with a name of its case.
func badIDs() map[string]string {
	return map[string]string{
		"empty account": "", "account of 65 bytes": strings.Repeat("a", 65), "account with a space": "a b",
		"account with a tab": "a\tb", "account not ASCII": "ä", "account with DEL": "a\x7f",
	}
}

func badAssets() map[string]string {
	return map[string]string{
		"empty asset": "", "asset of 17 bytes": "ABCDEFGHIJKLMNOPQ", "asset with a space": "G P", "asset not ASCII": "£",
	}
}

// unknownField appends field 900 with three bytes in it.
func unknownField(b []byte) []byte {
	b = protowire.AppendTag(b, 900, protowire.BytesType)
	return protowire.AppendBytes(b, []byte("new"))
}

func marshal(req proto.Message) []byte {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		panic(err)
	}
	return encoded
}

// window holds the arguments that three of the reads share.
type window struct {
	name           string
	account, asset string
	from, to       int64
}

// badWindows returns windows that break one rule each, in the order of the checks. The last ones break several at once.
func badWindows() []window {
	var bad []window
	for _, name := range sortedKeys(badIDs()) {
		bad = append(bad, window{name, badIDs()[name], "GBP", 0, 1})
	}
	for _, name := range sortedKeys(badAssets()) {
		bad = append(bad, window{name, "acct", badAssets()[name], 0, 1})
	}
	return append(bad,
		window{"from before year 1", "acct", "GBP", begin - 1, 1},
		window{"from after year 9999", "acct", "GBP", end + 1, 1},
		window{"to before year 1", "acct", "GBP", 0, begin - 1},
		window{"to after year 9999", "acct", "GBP", 0, end + 1},
		window{"from equal to to", "acct", "GBP", 5, 5},
		window{"from after to", "acct", "GBP", 6, 5},
		window{"account is checked before asset", "", "", end + 1, begin - 1},
		window{"asset is checked before from", "acct", "", end + 1, begin - 1},
		window{"from is checked before to", "acct", "GBP", end + 1, begin - 1},
		window{"to is checked before the order of the two", "acct", "GBP", 7, begin - 1},
		window{"arguments are checked before the account", "nobody", "GBP", 5, 5},
	)
}
