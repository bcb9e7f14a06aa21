package telemetry

import (
	"sync/atomic"

	"hotpath.dev/go-shim/metrics"
)

// Lanes holds the metrics of the batched exchange, over all sessions with one sidecar. It implements lane.Observer.
type Lanes struct {
	open, inFlight    atomic.Int64
	requests, batches metrics.Counter
	failed            func(reason string) metrics.Counter
}

func newLanes(meter metrics.Meter, reasons []string) *Lanes {
	l := &Lanes{
		requests: meter.Counter(metrics.Family{Name: "hotpath_shim_lane_requests_total", Help: "Requests sent on lanes."}),
		batches:  meter.Counter(metrics.Family{Name: "hotpath_shim_lane_batches_total", Help: "Messages that they were sent in."}),
		failed: byReason(meter, metrics.Family{Name: "hotpath_shim_lane_failures_total",
			Help: "Lanes that were lost or could not be opened, by reason.", Labels: []string{"reason"}}, reasons),
	}
	meter.Gauge(metrics.Family{Name: "hotpath_shim_lanes", Help: "Lanes to the sidecar that are open."},
		func() float64 { return float64(l.open.Load()) })
	meter.Gauge(metrics.Family{Name: "hotpath_shim_lane_in_flight",
		Help: "Requests sent on a lane and not replied to, waited for or not."},
		func() float64 { return float64(l.inFlight.Load()) })
	return l
}

// Opened implements lane.Observer.
func (l *Lanes) Opened() { l.open.Add(1) }

// Closed implements lane.Observer.
func (l *Lanes) Closed() { l.open.Add(-1) }

// Failed implements lane.Observer.
func (l *Lanes) Failed(reason string) { l.failed(reason).Inc() }

// Sent implements lane.Observer.
func (l *Lanes) Sent(requests int) {
	l.requests.Add(float64(requests))
	l.batches.Inc()
	l.inFlight.Add(int64(requests))
}

// Done implements lane.Observer.
func (l *Lanes) Done(requests int) { l.inFlight.Add(-int64(requests)) }
