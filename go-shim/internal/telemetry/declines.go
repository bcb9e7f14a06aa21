package telemetry

import "hotpath.dev/go-shim/metrics"

const (
	// maxDeclines bounds the distinct reasons, because the sidecar sends them and each label costs memory for ever.
	maxDeclines    = 64
	maxReasonBytes = 64
	otherReason    = "other"
)

// declines counts requests that the sidecar's model left to the service, by the reasons that the model names.
type declines struct {
	counter func(method, reason string) metrics.Counter
	reasons *bounded
}

func newDeclines(meter metrics.Meter) *declines {
	family := metrics.Family{Name: "hotpath_shim_declined_total", Labels: []string{"method", "reason"},
		Help: "Requests that the sidecar's model left to the local handler, by its reason."}
	counter := func(method, reason string) metrics.Counter { return meter.Counter(family, method, reason) }
	return &declines{counter: counter, reasons: newBounded(maxDeclines, otherReason)}
}

func (d *declines) count(method, reason string) { d.counter(method, d.label(reason)).Inc() }

// label returns the reason if the metrics may show it, and otherReason if not.
func (d *declines) label(reason string) string {
	if !isReason(reason) {
		return otherReason
	}
	return d.reasons.label(reason)
}

// isReason applies the rule by which hotpathd checks a model's reasons: see proto/golden/decline-reasons.txt.
func isReason(text string) bool {
	for _, b := range []byte(text) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '_' {
			return false
		}
	}
	return len(text) >= 1 && len(text) <= maxReasonBytes
}
