package shim

import (
	"testing"

	"hotpath.dev/go-shim/internal/transport"
)

// What was never sent says nothing of the sidecar.
func TestWhatTheTransportDoesNotTakeBlamesNobody(t *testing.T) {
	for want, err := range map[reason]error{busy: transport.ErrBusy, methodRefused: transport.ErrRefused} {
		why := judge(&transport.Request{}, transport.Reply{}, err)
		if why != want || (&method{}).blame(&hop{}, why, err) != blameNobody {
			t.Errorf("%v: the reason is %v", err, why)
		}
	}
}
