package metrics

import "github.com/prometheus/client_golang/prometheus"

// Lanes are the metrics of the batched exchange, over all sessions with sidecars. It implements lane.Observer.
type Lanes struct {
	open, inFlight    prometheus.Gauge
	requests, batches prometheus.Counter
	failures          *prometheus.CounterVec
}

func newLanes() *Lanes {
	return &Lanes{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hotpath_shim_lanes", Help: "Lanes to the sidecar that are open.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hotpath_shim_lane_in_flight", Help: "Requests sent on a lane and not replied to, waited for or not.",
		}),
		requests: counter("hotpath_shim_lane_requests_total", "Requests sent on lanes."),
		batches:  counter("hotpath_shim_lane_batches_total", "Messages that they were sent in."),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hotpath_shim_lane_failures_total", Help: "Lanes that were lost or could not be opened, by reason.",
		}, []string{"reason"}),
	}
}

func (l *Lanes) collectors() []prometheus.Collector {
	return []prometheus.Collector{l.open, l.inFlight, l.requests, l.batches, l.failures}
}

// Opened implements lane.Observer.
func (l *Lanes) Opened() { l.open.Inc() }

// Closed implements lane.Observer.
func (l *Lanes) Closed() { l.open.Dec() }

// Failed implements lane.Observer.
func (l *Lanes) Failed(reason string) { l.failures.WithLabelValues(reason).Inc() }

// Sent implements lane.Observer.
func (l *Lanes) Sent(requests int) {
	l.requests.Add(float64(requests))
	l.batches.Inc()
	l.inFlight.Add(float64(requests))
}

// Done implements lane.Observer.
func (l *Lanes) Done(requests int) { l.inFlight.Sub(float64(requests)) }
