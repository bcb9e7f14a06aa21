package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// ErrNoTransaction means that no transaction has this id or position.
var ErrNoTransaction = errors.New("no such transaction")

// TransactionByID returns the transaction with a transaction_id.
func (s *Store) TransactionByID(ctx context.Context, transactionID string) (*walletv1.Transaction, error) {
	var position int64
	err := s.reads.QueryRowContext(ctx,
		`SELECT position FROM transaction_ids WHERE transaction_id = ?`, transactionID).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoTransaction
	}
	if err != nil {
		return nil, fmt.Errorf("find transaction_id: %w", err)
	}
	return s.Transaction(ctx, uint64(position))
}

// Transaction returns the transaction at a position. It does not return one that is durable but still beyond Head.
func (s *Store) Transaction(ctx context.Context, position uint64) (*walletv1.Transaction, error) {
	if position > s.Head() {
		return nil, ErrNoTransaction
	}
	events, err := s.Read(ctx, position, 1, 0)
	if err != nil {
		return nil, err
	}
	return ledger.DecodeEvent(events[0])
}

// ListEntries answers a request that [ledger.CheckListEntries] accepts.
func (s *Store) ListEntries(ctx context.Context, req *walletv1.ListEntriesRequest) (*walletv1.ListEntriesResponse, error) {
	start, err := parseToken(req)
	if err != nil {
		return nil, err
	}
	assets := []string{req.GetAsset()}
	if req.Asset == nil {
		if assets, err = s.assets(ctx, req.GetAccountId()); err != nil {
			return nil, err
		}
	}
	// One ref more than the page has room for shows whether there is another page and where it starts.
	want := int(req.GetPageSize()) + 1
	var refs []ref
	for _, asset := range assets {
		if refs, err = s.appendRefs(ctx, refs, accountAsset{req.GetAccountId(), asset}, start, want); err != nil {
			return nil, fmt.Errorf("list entries: %w", err)
		}
	}
	if len(refs) == 0 {
		return s.noEntries(ctx, req.GetAccountId())
	}
	slices.Sort(refs)
	resp := new(walletv1.ListEntriesResponse)
	if len(refs) >= want {
		resp.NextPageToken = token(req, refs[want-1])
		refs = refs[:want-1]
	}
	resp.Entries, err = s.entries(ctx, refs)
	return resp, err
}

// noEntries is an empty page, or an error if the account has no entries at all.
func (s *Store) noEntries(ctx context.Context, accountID string) (*walletv1.ListEntriesResponse, error) {
	assets, err := s.assets(ctx, accountID)
	if err == nil && len(assets) == 0 {
		err = ledger.ErrNoEntries
	}
	return new(walletv1.ListEntriesResponse), err
}

// assets returns the assets in which an account has entries. It steps from one to the next through the primary key.
func (s *Store) assets(ctx context.Context, accountID string) (assets []string, err error) {
	last := ""
	for {
		var next sql.NullString
		err := s.reads.QueryRowContext(ctx,
			`SELECT min(asset) FROM account_refs WHERE account_id = ? AND asset > ?`, accountID, last).Scan(&next)
		if err != nil {
			return nil, fmt.Errorf("list assets: %w", err)
		}
		if !next.Valid {
			return assets, nil
		}
		last = next.String
		assets = append(assets, last)
	}
}

// appendRefs appends up to want refs of one (account, asset), from start up to the head.
func (s *Store) appendRefs(ctx context.Context, refs []ref, key accountAsset, start ref, want int) ([]ref, error) {
	end := refOf(s.Head()+1, 0)
	rows, err := s.reads.QueryContext(ctx, `
		SELECT first_ref, refs FROM account_refs WHERE account_id = ?1 AND asset = ?2 AND first_ref >= coalesce(
			(SELECT max(first_ref) FROM account_refs WHERE account_id = ?1 AND asset = ?2 AND first_ref <= ?3), 0)
		ORDER BY first_ref`, key.accountID, key.asset, int64(start))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	full := len(refs) + want
	for rows.Next() {
		var first int64
		var packed []byte
		if err := rows.Scan(&first, &packed); err != nil {
			return nil, err
		}
		unpacked, err := unpackRefs(ref(first), packed)
		if err != nil {
			return nil, err
		}
		for _, r := range unpacked {
			if r >= end || len(refs) == full {
				return refs, nil
			}
			if r >= start {
				refs = append(refs, r)
			}
		}
	}
	return refs, rows.Err()
}

func (s *Store) entries(ctx context.Context, refs []ref) ([]*walletv1.ListedEntry, error) {
	positions := make([]uint64, 0, len(refs))
	for _, r := range refs {
		if n := len(positions); n == 0 || positions[n-1] != r.position() {
			positions = append(positions, r.position())
		}
	}
	txs, err := s.transactions(ctx, positions)
	if err != nil {
		return nil, err
	}
	listed := make([]*walletv1.ListedEntry, 0, len(refs))
	for i, at := 0, 0; i < len(refs); i++ {
		r := refs[i]
		if positions[at] != r.position() {
			at++
		}
		tx := txs[at]
		if r.index() >= len(tx.GetEntries()) {
			return nil, fmt.Errorf("%w: no entry %d at %d", ErrCorrupt, r.index(), r.position())
		}
		listed = append(listed, &walletv1.ListedEntry{
			Position:      tx.GetPosition(),
			TransactionId: tx.GetTransactionId(),
			OccurredAtUs:  tx.GetOccurredAtUs(),
			Index:         uint32(r.index()),
			Entry:         tx.GetEntries()[r.index()],
		})
	}
	return listed, nil
}

// transactions returns those at the positions, which ascend and are not beyond Head. One query finds all of a page.
func (s *Store) transactions(ctx context.Context, positions []uint64) ([]*walletv1.Transaction, error) {
	list, err := json.Marshal(positions)
	if err != nil {
		return nil, err
	}
	rows, err := s.reads.QueryContext(ctx,
		`SELECT position, event FROM events WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position`, string(list))
	if err != nil {
		return nil, fmt.Errorf("read %d events: %w", len(positions), err)
	}
	defer rows.Close()
	txs := make([]*walletv1.Transaction, 0, len(positions))
	for rows.Next() {
		var position int64
		var event sql.RawBytes
		if err := rows.Scan(&position, &event); err != nil {
			return nil, fmt.Errorf("read %d events: %w", len(positions), err)
		}
		if len(txs) == len(positions) || uint64(position) != positions[len(txs)] {
			break
		}
		tx, err := ledger.DecodeEvent(event)
		if err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %d events: %w", len(positions), err)
	}
	if len(txs) < len(positions) {
		return nil, fmt.Errorf("%w: no event at %d", ErrCorrupt, positions[len(txs)])
	}
	return txs, nil
}
