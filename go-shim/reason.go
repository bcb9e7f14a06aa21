package shim

import "hotpath.dev/go-shim/internal/telemetry"

// reason says why the local handler answered a request of a method in mode sidecar.
type reason uint8

const (
	// notReady: no sidecar is connected, or it has not caught up.
	notReady reason = iota
	// methodRefused: the sidecar refused this method, because it has another schema there.
	methodRefused
	// breakerOpen: the sidecar kept failing.
	breakerOpen
	// deadlineShort: the caller leaves no time for a hop.
	deadlineShort
	// tooLarge: the request is longer than the sidecar takes.
	tooLarge
	// badBounds: the caller's position metadata is malformed; the service says so in its own words.
	badBounds
	// aheadOfHead: the caller asked for a position that the ledger hasn't reached; the sidecar can't have it either.
	aheadOfHead
	// unencodable: an interceptor passed on something that can't be encoded.
	unencodable
	// notForwardable: Config.Forwardable keeps the request local.
	notForwardable
	// declined: the sidecar's model leaves the request to the service.
	declined
	// overBudget: too large a share of the requests for this method is sent to the sidecar in vain.
	overBudget
	// overloaded: the sidecar has more work than it can do in time, and says so at once.
	overloaded
	// busy: all lanes are full.
	busy
	// hopTimeout: the sidecar didn't answer in time.
	hopTimeout
	// unavailable: the connection failed, or the sidecar said UNAVAILABLE.
	unavailable
	// notReached: the sidecar stayed behind the position needed for longer than the hop may take.
	notReached
	// notRetained: the sidecar no longer has the position asked for.
	notRetained
	// noPosition: the sidecar returned any other status without a position.
	noPosition
	// wrongPosition: the answer was computed at a position that the request does not allow.
	wrongPosition
	// badReply: the reply could not be decoded.
	badReply
	// panicked: the forwarding code panicked.
	panicked
	// foreignCodec: the server has another codec than the shim's.
	foreignCodec

	reasonCount
	// none: the request was, or may be, answered by the sidecar.
	none = reasonCount
)

func reasonNames() []string {
	return []string{"not_ready", "method_refused", "breaker_open", "deadline_short", "too_large", "bad_bounds",
		"ahead_of_head", "unencodable", "not_forwardable", "declined", "over_budget", "overloaded", "busy", "hop_timeout", "unavailable", "not_reached",
		"not_retained", "no_position", "wrong_position", "bad_reply", "panic", "foreign_codec"}
}

// class is what kind of reason it is, for metrics.
func (r reason) class() string {
	switch r {
	case deadlineShort, tooLarge, badBounds, aheadOfHead, unencodable, notForwardable:
		return "caller"
	case overBudget, overloaded, busy, hopTimeout:
		return "slow"
	case notReached, notRetained:
		return "stale"
	case declined:
		return "declined"
	default:
		return "down"
	}
}

// fallbackNames returns the reasons with their classes.
func fallbackNames() []telemetry.Fallback {
	var all []telemetry.Fallback
	for i, name := range reasonNames() {
		all = append(all, telemetry.Fallback{Reason: name, Class: reason(i).class()})
	}
	return all
}

func (r reason) String() string {
	if r == none {
		return "none"
	}
	return reasonNames()[r]
}
