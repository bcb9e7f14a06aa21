package frontdoor

import "github.com/prometheus/client_golang/prometheus"

// Names of the limits for which calls and connections are refused.
const (
	limitConnections = "connections"
	limitWaiting     = "waiting"
	limitUnread      = "unread"
)

type gauges struct {
	refused       *prometheus.CounterVec
	late, stalled prometheus.Counter
}

// newGauges registers the metrics with registry, unless it is nil. A second door on one registry is a mistake of the
// program.
func newGauges(d *Door, registry prometheus.Registerer) *gauges {
	g := &gauges{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "frontdoor_refused_total", Help: "Connections closed at once and calls refused, by the limit that was reached.",
		}, []string{"limit"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "frontdoor_late_total", Help: "Calls ended because their message took too long to arrive.",
		}),
		stalled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "frontdoor_stalled_total", Help: "Connections closed because the caller took nothing of what it was owed.",
		}),
	}
	for _, limit := range []string{limitConnections, limitWaiting, limitUnread} {
		g.refused.WithLabelValues(limit)
	}
	if registry == nil {
		return g
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(g.refused, g.late, g.stalled,
		gauge("frontdoor_connections", "Open connections.", func() float64 { return float64(d.connections()) }),
		gauge("frontdoor_waiting_calls", "Calls whose message has yet to arrive.", func() float64 { return float64(d.arrivals.count()) }),
		gauge("frontdoor_unread_bytes", "Bytes of watched replies that have not left.", func() float64 { return float64(d.unread.Load()) }))
	return g
}

func (d *Door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
