package versions

import (
	"math"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
)

// TestLogsOfOldKeepTheirEntries builds a log with several entries at one position, and with a gap of positions that is
// too wide for a block. Every log that was taken on the way must keep its entries, and until must find the same entries
// in the last log.
func TestLogsOfOldKeepTheirEntries(t *testing.T) {
	const count = 3*BlockSize + 5
	positionOf := func(n int) uint64 {
		if n >= 100 {
			return uint64(n/3) + 2*math.MaxUint32
		}
		return uint64(n / 3)
	}
	var held *blocks
	logs := []Log{{}}
	for n := range uint64(count) {
		e := rows.New(0, int64(n)+1, walletv1.Phase_PHASE_POSTED, Nobody)
		held = held.add(n, positionOf(int(n)), e)
		logs = append(logs, Log{held, n + 1})
	}
	for size, log := range logs {
		n := 0
		for run := range log.Runs() {
			for i := range run {
				if n++; run[i].Amount() != int64(n) {
					t.Fatalf("log of %d: entry %d is %d", size, n, run[i].Amount())
				}
			}
		}
		if n != size || log.Len() != size {
			t.Fatalf("log of %d has %d entries", size, n)
		}
	}
	last := logs[count]
	for n := range count {
		want := n + 1
		for want < count && positionOf(want) == positionOf(n) {
			want++
		}
		if got := last.until(positionOf(n)).Len(); got != want {
			t.Fatalf("%d entries until position %d, want %d", got, positionOf(n), want)
		}
		if got := logs[n].until(math.MaxUint64).Len(); got != n {
			t.Fatalf("%d entries of a log of %d", got, n)
		}
	}
	if got := last.until(positionOf(100) - 1).Len(); got != 100 {
		t.Errorf("%d entries before the gap", got)
	}
}
