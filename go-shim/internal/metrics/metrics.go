// Package metrics counts what the shim does, for Prometheus. Nothing is global: each shim has a Set of its own.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauges are read when the metrics are scraped.
type Gauges struct {
	// BreakerOpen is asked for the side, which is 0, and for the methods, which follow.
	BreakerOpen     func(i int) bool
	Ready           func() bool
	SidecarPosition func() uint64
	HeadPosition    func() uint64
}

// Set holds the metrics of one shim. It is a prometheus.Collector.
type Set struct {
	methods    []Method
	collectors []prometheus.Collector

	Lanes *Lanes

	SidecarRestarts  prometheus.Counter
	sidecarGivenUp   prometheus.Gauge
	FeedReconnects   prometheus.Counter
	ModeReloadErrors prometheus.Counter
	feedRefusals     *prometheus.CounterVec
	mode             *prometheus.GaugeVec
	refused          *prometheus.GaugeVec
	breakers         *prometheus.CounterVec
}

// Method holds those of one hot method, looked up once: the way of a request looks up no labels.
type Method struct {
	name            string
	servedBySidecar prometheus.Counter
	servedByLegacy  prometheus.Counter
	fallbacks       []prometheus.Counter
	hop             prometheus.Observer
}

// New makes a set for these methods and reasons of fallback.
func New(methods, reasons []string, gauges Gauges) *Set {
	served := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hotpath_shim_requests_total", Help: "Requests of hot methods by who answered them.",
	}, []string{"method", "served_by"})
	fallbacks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hotpath_shim_fallbacks_total",
		Help: "Requests in mode sidecar that the local handler answered, by reason.",
	}, []string{"method", "reason"})
	hop := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "hotpath_shim_hop_seconds", Help: "Time from sending a request to the sidecar to its outcome.",
		Buckets: []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, .1, .2, .5, 1},
	}, []string{"method"})

	s := &Set{
		Lanes:           newLanes(),
		SidecarRestarts: counter("hotpath_shim_sidecar_restarts_total", "Times the supervised sidecar was started again."),
		sidecarGivenUp: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hotpath_shim_sidecar_given_up",
			Help: "1 while the supervised sidecar is not started again, because it could not start as it is set."}),
		FeedReconnects: counter("hotpath_shim_feed_reconnects_total", "Feeds opened after the first."),
		ModeReloadErrors: counter("hotpath_shim_modes_reload_errors_total",
			"Times the modes file could not be used after a change."),
		feedRefusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hotpath_shim_feed_refusals_total", Help: "Connections or feeds that the sidecar refused, by reason.",
		}, []string{"reason"}),
		mode: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hotpath_shim_mode", Help: "1 for the mode that the method is in, 0 for the others.",
		}, []string{"method", "mode"}),
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hotpath_shim_method_refused", Help: "1 if the sidecar refused the method in its last Hello.",
		}, []string{"method"}),
	}
	breakers := newBreakers(methods, gauges.BreakerOpen)
	s.breakers = breakers.transitions
	for _, name := range methods {
		m := Method{
			name:            name,
			servedBySidecar: served.WithLabelValues(name, "sidecar"),
			servedByLegacy:  served.WithLabelValues(name, "legacy"),
			hop:             hop.WithLabelValues(name),
		}
		for _, reason := range reasons {
			m.fallbacks = append(m.fallbacks, fallbacks.WithLabelValues(name, reason))
		}
		s.methods = append(s.methods, m)
		s.refused.WithLabelValues(name).Set(0)
	}
	s.collectors = append(append(gauges.collectors(), s.Lanes.collectors()...), breakers, breakers.transitions, served, fallbacks, hop, s.SidecarRestarts, s.sidecarGivenUp, s.FeedReconnects,
		s.ModeReloadErrors, s.feedRefusals, s.mode, s.refused)
	return s
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func (g Gauges) collectors() []prometheus.Collector {
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	return []prometheus.Collector{
		gauge("hotpath_shim_sidecar_ready", "1 while the sidecar is connected and has caught up.",
			func() float64 { return truth(g.Ready()) }),
		gauge("hotpath_shim_sidecar_position", "The newest position that the sidecar published, as last heard.",
			func() float64 { return float64(g.SidecarPosition()) }),
		gauge("hotpath_shim_head_position", "The last durable position of the ledger.",
			func() float64 { return float64(g.HeadPosition()) }),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(out chan<- *prometheus.Desc) {
	for _, c := range s.collectors {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(out chan<- prometheus.Metric) {
	for _, c := range s.collectors {
		c.Collect(out)
	}
}

// Method is that of the i-th method given to New.
func (s *Set) Method(i int) *Method { return &s.methods[i] }

// SetMode shows mode, out of all, as the one that the i-th method is in.
func (s *Set) SetMode(i int, mode string, all []string) {
	for _, other := range all {
		s.mode.WithLabelValues(s.methods[i].name, other).Set(truth(other == mode))
	}
}

// SetRefused shows whether the sidecar refused the i-th method.
func (s *Set) SetRefused(i int, refused bool) {
	s.refused.WithLabelValues(s.methods[i].name).Set(truth(refused))
}

// BreakerChanged counts one transition.
func (s *Set) BreakerChanged(name, to string) { s.breakers.WithLabelValues(name, to).Inc() }

// SetGivenUp shows whether the supervised sidecar is not to be started again.
func (s *Set) SetGivenUp(givenUp bool) { s.sidecarGivenUp.Set(truth(givenUp)) }

// FeedRefused counts one refusal.
func (s *Set) FeedRefused(reason string) { s.feedRefusals.WithLabelValues(reason).Inc() }

// Sidecar counts a request that the sidecar answered.
func (m *Method) Sidecar() { m.servedBySidecar.Inc() }

// Legacy counts a request that was left to the local handler by its mode.
func (m *Method) Legacy() { m.servedByLegacy.Inc() }

// Fallback counts a request that the local handler answered for this reason, by its index.
func (m *Method) Fallback(reason int) {
	m.servedByLegacy.Inc()
	m.fallbacks[reason].Inc()
}

// Hop records how long the sidecar took.
func (m *Method) Hop(took time.Duration) { m.hop.Observe(took.Seconds()) }
