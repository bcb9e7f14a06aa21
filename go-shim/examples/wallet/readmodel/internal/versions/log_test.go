package versions

import (
	"math"
	"testing"
	"unsafe"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

func packed(amount int64, phase walletv1.Phase) Entry {
	return Entry{packed: amount<<phaseBits | int64(phase)}
}

func TestAnEntryTakes24Bytes(t *testing.T) {
	if size := unsafe.Sizeof(Entry{}); size != 24 {
		t.Errorf("%d bytes", size)
	}
}

func TestAmountsAndPhasesComeBack(t *testing.T) {
	for _, amount := range []int64{1, -1, 7, ledger.MaxAmount, -ledger.MaxAmount} {
		for phase := walletv1.Phase_PHASE_POSTED; phase <= walletv1.Phase_PHASE_RELEASE; phase++ {
			e := packed(amount, phase)
			if e.Amount() != amount || e.Phase() != phase || e.IsPosted() != (phase == walletv1.Phase_PHASE_POSTED) {
				t.Errorf("%d %v came back as %d %v", amount, phase, e.Amount(), e.Phase())
			}
		}
	}
}

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
		e := packed(int64(n)+1, walletv1.Phase_PHASE_POSTED)
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
