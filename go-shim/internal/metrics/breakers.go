package metrics

import "github.com/prometheus/client_golang/prometheus"

// side is how the label calls the breaker of the whole side; the others are called as their methods.
const side = "side"

// breakers says which are open when the metrics are scraped.
type breakers struct {
	open        *prometheus.Desc
	names       []string
	isOpen      func(i int) bool
	transitions *prometheus.CounterVec
}

func newBreakers(methods []string, isOpen func(i int) bool) *breakers {
	b := &breakers{
		open: prometheus.NewDesc("hotpath_shim_breaker_open",
			"1 while a breaker, of the whole side or of a method, is not closed.", []string{"breaker"}, nil),
		names: append([]string{side}, methods...), isOpen: isOpen,
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hotpath_shim_breaker_transitions_total", Help: "Transitions of breakers, by the state that they came to.",
		}, []string{"breaker", "to"}),
	}
	for _, name := range b.names {
		for _, to := range []string{"closed", "open", "half_open"} {
			b.transitions.WithLabelValues(name, to)
		}
	}
	return b
}

// Describe implements prometheus.Collector.
func (b *breakers) Describe(out chan<- *prometheus.Desc) { out <- b.open }

// Collect implements prometheus.Collector.
func (b *breakers) Collect(out chan<- prometheus.Metric) {
	for i, name := range b.names {
		out <- prometheus.MustNewConstMetric(b.open, prometheus.GaugeValue, truth(b.isOpen(i)), name)
	}
}
