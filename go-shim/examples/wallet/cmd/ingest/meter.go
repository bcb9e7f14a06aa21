package main

import (
	"sync/atomic"

	"hotpath.dev/go-shim/metrics"
)

// These are metrics of the shim.
const (
	positionMetric  = "hotpath_shim_sidecar_position"
	reopenedMetric  = "hotpath_shim_feed_reconnects_total"
	refusedMetric   = "hotpath_shim_feed_refusals_total"
	methodForbidden = "hotpath_shim_method_refused"
)

// meter keeps the few metrics of the shim that are needed, and reads them without the cost of a whole page.
type meter struct {
	metrics.Discard
	// position is the newest position that the sidecar has published.
	position func() float64
	// forbidden are 1 for methods that the sidecar refuses.
	forbidden []func() float64
	// reopened counts feeds after the first, refused the feeds and connections that the sidecar refused.
	reopened, refused tally
}

// tally is a counter of whole numbers.
type tally struct{ n atomic.Uint64 }

func (t *tally) Inc()          { t.n.Add(1) }
func (t *tally) Add(n float64) { t.n.Add(uint64(n)) }

// Counter implements metrics.Meter.
func (m *meter) Counter(f metrics.Family, values ...string) metrics.Counter {
	switch f.Name {
	case reopenedMetric:
		return &m.reopened
	case refusedMetric:
		return &m.refused
	default:
		return m.Discard.Counter(f, values...)
	}
}

// Gauge implements metrics.Meter.
func (m *meter) Gauge(f metrics.Family, read func() float64, _ ...string) {
	switch f.Name {
	case positionMetric:
		m.position = read
	case methodForbidden:
		m.forbidden = append(m.forbidden, read)
	}
}
