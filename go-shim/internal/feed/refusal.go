package feed

import "hotpath.dev/go-shim/position"

// Reasons for which a sidecar refuses a Hello or a feed. control.proto and feed.proto name them.
const (
	ProtocolMismatch = "PROTOCOL_MISMATCH"
	LedgerMismatch   = "LEDGER_MISMATCH"
	Behind           = "FEED_BEHIND"
	// Forked is found by the shim itself, from the opening watermark.
	Forked     = "LEDGER_FORKED"
	Gap        = "FEED_GAP"
	Repeat     = "FEED_REPEAT"
	BadMessage = "FEED_BAD_MESSAGE"
	BadEvent   = "FEED_BAD_EVENT"
	Busy       = "FEED_BUSY"
)

// Reasons returns all of these reasons.
func Reasons() []string {
	return []string{ProtocolMismatch, LedgerMismatch, Behind, Forked, Gap, Repeat, BadMessage, BadEvent, Busy}
}

// Refusal is a refusal for a reason. Trying again soon does not change it.
type Refusal struct {
	Reason string
	Err    error
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// AsRefusal turns a status that carries a reason into a *Refusal. It returns other errors unchanged.
func AsRefusal(err error) error {
	if reason := position.Reason(err); reason != "" {
		return &Refusal{Reason: reason, Err: err}
	}
	return err
}

// Foreign is true if the sidecar's state belongs to another ledger, or to another past of this one. No feed can mend
// that, only a restart, which empties the sidecar.
func (r *Refusal) Foreign() bool {
	return r.Reason == LedgerMismatch || r.Reason == Behind || r.Reason == Forked
}

// Advice says what to do about a refusal.
func (r *Refusal) Advice() string {
	switch r.Reason {
	case ProtocolMismatch:
		return "build the service and the sidecar from the same release"
	case LedgerMismatch:
		return "the sidecar holds another ledger: restart it, or correct its socket path"
	case Behind:
		return "the sidecar is ahead of this ledger, as after restoring a backup: restart it"
	case Forked:
		return "the sidecar was fed from another copy of this ledger: restart it"
	case Gap, Repeat, BadMessage:
		return "the feed broke its own rules: restart the sidecar and report this as a bug of the shim"
	case BadEvent:
		return "the sidecar cannot apply an event: compare its build with the service's, then look at the event named"
	case Busy:
		return "another process feeds this sidecar: give each service process a sidecar of its own"
	default:
		return "look into the sidecar's log"
	}
}
