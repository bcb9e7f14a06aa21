package golden

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// bookBalances books the ledger of the balance scenarios.
func (s *scenario) bookBalances() {
	s.book("2024-01-01", gbp("alice", 100_000))
	s.book("2024-01-02T10:30:00", on("alice", "GBP", -2_500, posted, "bob"), on("bob", "GBP", 2_500, posted, "alice"))
	s.book("2024-01-03", on("alice", "GBP", -4_000, hold, "shop"))
	s.book("2024-01-04", on("alice", "GBP", -4_000, release, "shop"), on("alice", "GBP", -3_500, posted, "shop"))
	s.book("2023-12-31T23:59:59.999999", gbp("alice", 100))
	s.book("2024-03-01", on("alice", "GBP", -700, hold, ""), on("alice", "GBP", 900, hold, ""))
	s.book("2024-02-01", on("alice", "GBP", -700, release, ""), on("alice", "GBP", 900, release, ""))
	s.book("2024-03-02", on("alice", "~", 1, posted, ""), on("alice", "a", 2, posted, ""), on("alice", "B", 3, posted, ""),
		on("alice", "!", 4, posted, ""), on("alice", "AA", 5, posted, ""), on("alice", "A", 6, posted, ""))
	s.book("0001-01-01", gbp("ancient", 1))
	s.book("9999-12-31T23:59:59.999999", gbp("ancient", 2))
	s.book("1970-01-01", gbp("epoch", -7))
	s.book("1969-12-31T23:59:59.999999", on("epoch", "EUR", 7, hold, ""))
	s.book("2024-05-01", gbp(strings.Repeat("z", 64), 1), on("!~", "SIXTEENBYTESLONG", 1_000_000_000_000_000, posted, ""))
	s.book("2024-05-02", on("loop", "GBP", 50, posted, "loop"), on("loop", "GBP", -50, posted, "loop"))
	s.book("2024-05-03", on("holder", "GBP", -10, hold, ""))
}

func balances() *scenario {
	s := &scenario{name: "balances", description: "GetBalance: counters, as_of, back-dating, order of assets, checks."}
	s.bookBalances()
	get := func(account string) *walletv1.GetBalanceRequest {
		return &walletv1.GetBalanceRequest{AccountId: account}
	}
	of := func(account, asset string) *walletv1.GetBalanceRequest {
		return &walletv1.GetBalanceRequest{AccountId: account, Asset: &asset}
	}
	asOf := func(req *walletv1.GetBalanceRequest, us int64) *walletv1.GetBalanceRequest {
		req.AsOfUs = &us
		return req
	}
	for p := range s.head() + 1 {
		s.askAt(fmt.Sprintf("alice at position %d", p), p, get("alice"))
	}
	s.ask("one asset", of("alice", "GBP"))
	s.ask("an asset that the account never had gives zeros", of("alice", "JPY"))
	s.askAt("an asset that comes later gives zeros", 1, of("alice", "B"))
	s.ask("only holds", get("holder"))
	s.ask("longest account", get(strings.Repeat("z", 64)))
	s.ask("longest asset, largest amount", of("!~", "SIXTEENBYTESLONG"))
	s.ask("both sides on one account", get("loop"))
	s.ask("last occurred at the epoch is present", get("epoch"))
	s.ask("the ends of time", get("ancient"))
	for name, us := range map[string]int64{
		"before the first entry": at("2023-12-31T23:59:59.999999"), "between": at("2024-01-03T12:00:00"),
		"at an entry, which is excluded": at("2024-01-04"), "just after an entry": at("2024-01-04T00:00:00.000001"),
		"pending negative through back-dating": at("2024-02-15"), "after everything": at("2030-01-01"),
		"the first instant": begin, "the last instant": end, "the epoch": 0,
	} {
		s.ask("as of: "+name, asOf(get("alice"), us))
		s.ask("as of, one asset: "+name, asOf(of("alice", "GBP"), us))
	}
	s.ask("as of the last instant excludes an entry there", asOf(get("ancient"), end))
	s.ask("as of just before the epoch", asOf(get("epoch"), -1))
	s.askAt("as of, at an older position", 4, asOf(get("alice"), at("2024-01-02")))
	slices.SortFunc(s.cases, func(a, b goldCase) int { return strings.Compare(a.Name, b.Name) })

	s.ask("unknown account", get("nobody"))
	s.ask("unknown account with an asset", of("nobody", "GBP"))
	s.askAt("the empty ledger", 0, get("alice"))
	s.askAt("an account that comes later", 1, get("bob"))
	for _, name := range sortedKeys(badIDs()) {
		s.ask(name, get(badIDs()[name]))
	}
	for _, name := range sortedKeys(badAssets()) {
		s.ask(name, of("alice", badAssets()[name]))
	}
	s.ask("as_of before year 1", asOf(get("alice"), begin-1))
	s.ask("as_of after year 9999", asOf(get("alice"), end+1))
	s.ask("as_of smallest int64", asOf(get("alice"), -1<<63))
	s.ask("account is checked first", asOf(of("", ""), end+1))
	s.ask("asset is checked before as_of", asOf(of("alice", ""), end+1))
	s.ask("arguments are checked before the account", asOf(get("nobody"), end+1))
	s.rawBalances()
	return s
}

// rawBalances adds requests in unusual encodings, which all decoders must read alike.
func (s *scenario) rawBalances() {
	bob := &walletv1.GetBalanceRequest{AccountId: "bob"}
	s.askRaw("unknown field behind", s.head(), bob, unknownField(marshal(bob)))
	s.askRaw("unknown field in front", s.head(), bob, append(unknownField(nil), marshal(bob)...))
	s.askRaw("unknown varint, fixed32, fixed64 and group", s.head(), bob,
		append(marshal(bob), 0xc0, 0x3e, 5, 0xcd, 0x3e, 1, 2, 3, 4, 0xd1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8, 0xdb, 0x3e, 0xdc, 0x3e))
	s.askRaw("a field given twice counts the last time", s.head(), bob,
		append(marshal(&walletv1.GetBalanceRequest{AccountId: "alice"}), marshal(bob)...))
	backwards := marshal(&walletv1.GetBalanceRequest{AsOfUs: proto.Int64(at("2024-01-02"))})
	s.askRaw("fields in another order", s.head(), bob,
		append(backwards, marshal(&walletv1.GetBalanceRequest{AccountId: "alice", Asset: proto.String("GBP")})...))
	overlong := protowire.AppendTag(marshal(&walletv1.GetBalanceRequest{AccountId: "alice"}), 3, protowire.VarintType)
	s.askRaw("a varint longer than it need be", s.head(), bob, append(overlong, 0x80, 0x80, 0x00))
	s.askRaw("an empty request", s.head(), bob, []byte{})
}

func batches() *scenario {
	s := &scenario{name: "batches", description: "BatchGetBalances: request order, unknown accounts, checks."}
	s.bookBalances()
	many := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprintf("none-%d", i))
		}
		return ids
	}
	get := func(ids ...string) *walletv1.BatchGetBalancesRequest {
		return &walletv1.BatchGetBalancesRequest{AccountIds: ids}
	}
	of := func(asset string, ids ...string) *walletv1.BatchGetBalancesRequest {
		return &walletv1.BatchGetBalancesRequest{AccountIds: ids, Asset: &asset}
	}
	s.ask("none", get())
	s.ask("none, with an asset", of("GBP"))
	s.ask("request order", get("holder", "bob", "alice", "epoch"))
	s.ask("unknown accounts are rows", get("nobody", "bob", "neither"))
	s.ask("unknown accounts have no balances even of a named asset", of("GBP", "nobody", "bob", "epoch"))
	s.ask("an asset that nobody has", of("JPY", "alice", "bob"))
	s.askAt("the empty ledger", 0, get("alice", "bob"))
	s.askAt("an older position", 2, get("alice", "bob", "holder"))
	s.ask("a thousand", get(many(1000)...))
	s.ask("a thousand and one", get(many(1001)...))
	s.ask("too many is checked before each", get(append(many(1000), "")...))
	s.ask("repeated", get("bob", "alice", "bob"))
	s.ask("repeated, though unknown", get("nobody", "nobody"))
	s.ask("the first bad row is named", get("bob", "a b", "bob"))
	s.ask("the rule of an id is checked before repetition", get("", ""))
	for _, name := range sortedKeys(badIDs()) {
		s.ask(name, get("bob", "alice", badIDs()[name]))
	}
	for _, name := range sortedKeys(badAssets()) {
		s.ask(name, of(badAssets()[name], "alice"))
	}
	s.ask("ids are checked before the asset", of("", "a b"))
	s.ask("an asset is checked though no account is named", of(""))
	s.askRaw("unknown field", s.head(), get(), unknownField(marshal(get("bob"))))
	return s
}
