package rows

import (
	"testing"
	"unsafe"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

func TestAnEntryTakes24Bytes(t *testing.T) {
	if size := unsafe.Sizeof(Entry{}); size != 24 {
		t.Errorf("%d bytes", size)
	}
}

func TestAmountsAndPhasesComeBack(t *testing.T) {
	for _, amount := range []int64{1, -1, 7, ledger.MaxAmount, -ledger.MaxAmount} {
		for phase := walletv1.Phase_PHASE_POSTED; phase <= walletv1.Phase_PHASE_RELEASE; phase++ {
			e := New(5, amount, phase, 3)
			if e.Amount() != amount || e.Phase() != phase || e.IsPosted() != (phase == walletv1.Phase_PHASE_POSTED) {
				t.Errorf("%d %v came back as %d %v", amount, phase, e.Amount(), e.Phase())
			}
		}
	}
}
