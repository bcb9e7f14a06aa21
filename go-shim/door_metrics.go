package shim

import "hotpath.dev/go-shim/internal/splice"

// countHandOver counts a call that the door had and that grpc-go gets now. splice itself counts those that the door never
// had.
func (d *door) countHandOver(call *splice.Call, n note) {
	d.side.metrics.Door.HandedOver(int(d.whyHandedOver(call, n)), 1)
}

// whyHandedOver looks once more at what the door has just decided by. The note says the rest.
func (d *door) whyHandedOver(call *splice.Call, n note) splice.Reason {
	m := d.side.methods[call.Head.Method]
	switch {
	case n != noNote:
		return splice.ForFallback
	case d.state.Load() != doorOpen:
		return splice.ForShut
	case !m.takes(call.Body):
		return splice.ForMode
	case m.hedge != nil:
		return splice.ForHedge
	case d.side.reachable(m.index) != none:
		return splice.ForNotReady
	case call.Head.Extra && !d.side.forwardsAnyMetadata():
		return splice.ForMetadata
	default:
		return splice.ForSize // it is too long for a lane
	}
}
