package runs

import (
	"unsafe"

	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/wavelet"
)

// index is what only long runs of posted entries have.
type index struct {
	extremes extremes
	// sizes has the |amount| of each entry.
	sizes  wavelet.Matrix
	sets   sets
	totals totals
}

// Sizes returns the |amount| of each entry of an indexed run.
func (r *Run) Sizes() *wavelet.Matrix { return &r.index.sizes }

func (x *index) bytes() int {
	return int(unsafe.Sizeof(*x)) + cap(x.extremes)*int(unsafe.Sizeof(bounds{})) + x.sizes.Bytes() +
		8*cap(x.sets.words) + 8*cap(x.totals.sizes) + 8*cap(x.totals.credits) + 4*cap(x.totals.counts)
}
