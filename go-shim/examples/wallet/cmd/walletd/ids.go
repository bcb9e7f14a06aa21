package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const idsUsage = `usage: walletd ids --db PATH [--at-most N]

Lists what there is to ask about: a line for each account and asset, those with the most entries first, equals by the
bytes of account and asset. The store is only read, and may be served meanwhile. The output is tab-separated, below
three lines of comment; times are microseconds since 1970:
  # position 520000
  # accounts 54975
  # entries 1025639
  account  asset  entries  first_us  last_us

example:
  walletd ids --db wallet.db --at-most 10`

func runIDs(ctx context.Context, args []string, out streams) error {
	f := newFlags("ids", idsUsage, false)
	db := f.String("db", "", "the store")
	atMost := f.number("at-most", 0, 0, 1<<62, "lines to print, comments aside; 0 prints all")
	f.required = []string{"db"}
	if _, err := f.parse(args, out); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	s := survey{holdings: make(map[holding]activity)}
	if err := store.Scan(ctx, *db, s.count); err != nil {
		return err
	}
	return s.print(out.stdout, *atMost)
}

type holding struct{ account, asset string }

// activity sums up the entries of a holding.
type activity struct {
	entries         uint64
	firstUS, lastUS int64
}

// survey sums up a ledger. It keeps a record for each holding, not for each entry.
type survey struct {
	position uint64
	entries  uint64
	holdings map[holding]activity
}

func (s *survey) count(tx *walletv1.Transaction) {
	s.position = tx.GetPosition()
	s.entries += uint64(len(tx.GetEntries()))
	at := tx.GetOccurredAtUs()
	for _, e := range tx.GetEntries() {
		key := holding{e.GetAccountId(), e.GetAsset()}
		a, known := s.holdings[key]
		if !known {
			a.firstUS, a.lastUS = at, at
		}
		a.entries++
		a.firstUS, a.lastUS = min(a.firstUS, at), max(a.lastUS, at)
		s.holdings[key] = a
	}
}

func (s *survey) accounts() int {
	ids := make(map[string]struct{})
	for key := range s.holdings {
		ids[key.account] = struct{}{}
	}
	return len(ids)
}

// print prints up to atMost holdings, or all if atMost is 0.
func (s *survey) print(to io.Writer, atMost int64) error {
	keys := slices.SortedFunc(maps.Keys(s.holdings), func(a, b holding) int {
		return cmp.Or(
			cmp.Compare(s.holdings[b].entries, s.holdings[a].entries),
			cmp.Compare(a.account, b.account),
			cmp.Compare(a.asset, b.asset))
	})
	if atMost > 0 {
		keys = keys[:min(int64(len(keys)), atMost)]
	}
	lines := bufio.NewWriter(to)
	fmt.Fprintf(lines, "# position %d\n# accounts %d\n# entries %d\n", s.position, s.accounts(), s.entries)
	for _, key := range keys {
		a := s.holdings[key]
		fmt.Fprintf(lines, "%s\t%s\t%d\t%d\t%d\n", key.account, key.asset, a.entries, a.firstUS, a.lastUS)
	}
	return lines.Flush()
}
