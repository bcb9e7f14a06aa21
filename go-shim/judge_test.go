package shim

import (
	"testing"

	"hotpath.dev/go-shim/internal/transport"
)

// A request that was never sent says nothing about the sidecar.
func TestWhatTheTransportDoesNotTakeBlamesNobody(t *testing.T) {
	for want, err := range map[reason]error{busy: transport.ErrBusy, methodRefused: transport.ErrRefused} {
		why := judge(&transport.Request{}, transport.Reply{}, err)
		if why != want || (&method{}).outcome(&hop{}, why, err) != noOutcome {
			t.Errorf("%v: the reason is %v", err, why)
		}
	}
}
