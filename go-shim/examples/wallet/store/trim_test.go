package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// bulky posts transactions that make the log grow by some 200 KB each.
func bulky(t *testing.T, s *Store, first, count int) {
	t.Helper()
	entry := &walletv1.Entry{
		AccountId: strings.Repeat("a", 64), Asset: "GBP", Amount: 1, Phase: walletv1.Phase_PHASE_POSTED,
		Kind: strings.Repeat("k", 32), Counterparty: strings.Repeat("c", 64),
	}
	for n := first; n < first+count; n++ {
		mustPost(t, s, &walletv1.Transaction{
			TransactionId: fmt.Sprintf("bulky-%d", n), External: true, Entries: slices.Repeat([]*walletv1.Entry{entry}, 1000),
		})
	}
}

func TestTheLogIsCutWhenNobodyPosts(t *testing.T) {
	looks := make(chan time.Time)
	s, _ := openLoaded(t, tempPath(t), Options{looks: looks})
	// keepTrim takes a look from the channel only when the look before is done. So one look more makes sure that the
	// last of these looks is done.
	look := func(times int) {
		for range times + 1 {
			looks <- time.Time{}
		}
	}
	mustPost(t, s, deposit(0))
	look(3)
	if size := logSize(s.path); size == 0 {
		t.Error("a short log was cut: the next post would have to lengthen it again")
	}
	bulky(t, s, 0, 10)
	peak := logSize(s.path)
	if peak <= logKept {
		t.Fatalf("the log has %d bytes, too few to tell", peak)
	}
	looks <- time.Time{}
	if size := logSize(s.path); size != peak {
		t.Errorf("the log was cut to %d bytes at the first look after a post", size)
	}
	rows, err := s.readers.QueryContext(t.Context(), `SELECT position FROM events`)
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	bulky(t, s, 10, 1)
	look(3)
	if size := logSize(s.path); size < peak {
		t.Errorf("the log was cut to %d bytes under a reader", size)
	}
	mustPost(t, s, deposit(1))
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	look(3)
	if size := logSize(s.path); size != 0 {
		t.Errorf("the log still has %d bytes, %d at its peak", size, peak)
	}
	mustPost(t, s, deposit(2))
	if _, already, err := s.Post(t.Context(), deposit(1)); !already || err != nil {
		t.Errorf("got %v, %v", already, err)
	}
}

func TestALogThatGrewUnderReadersIsCutWhenItBeginsAnew(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	var limit int
	if err := s.w.conn.QueryRowContext(t.Context(), `PRAGMA journal_size_limit`).Scan(&limit); err != nil || limit != logLimit {
		t.Errorf("got %d, %v, want %d", limit, err, logLimit)
	}
}
