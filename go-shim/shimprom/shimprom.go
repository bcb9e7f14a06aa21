// Package shimprom shows the metrics of a shim, or of a front door, to Prometheus:
//
//	shim.Config{Metrics: shimprom.New(prometheus.DefaultRegisterer), ...}
package shimprom

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"hotpath.dev/go-shim/metrics"
)

// New makes a Meter whose metrics are registered with registerer. Each shim and each door needs a Meter of its own.
func New(registerer prometheus.Registerer) metrics.Meter {
	return &meter{registerer: registerer, families: make(map[string]prometheus.Collector)}
}

type meter struct {
	registerer prometheus.Registerer

	mu       sync.Mutex
	families map[string]prometheus.Collector
	// order holds the families in the order in which they were made.
	order      []prometheus.Collector
	registered bool
}

// family returns the family of this name, or makes it. If it is made after Register and clashes with a collector that
// is registered already, it is not shown.
func family[C prometheus.Collector](m *meter, name string, newFamily func() C) C {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.families[name].(C); ok {
		return known
	}
	made := newFamily()
	m.families[name], m.order = made, append(m.order, made)
	if m.registered {
		_ = m.registerer.Register(made)
	}
	return made
}

// Counter implements metrics.Meter.
func (m *meter) Counter(f metrics.Family, values ...string) metrics.Counter {
	return family(m, f.Name, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.Name, Help: f.Help}, f.Labels)
	}).WithLabelValues(values...)
}

// Histogram implements metrics.Meter.
func (m *meter) Histogram(f metrics.Family, bounds []float64, values ...string) metrics.Histogram {
	return family(m, f.Name, func() *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: f.Name, Help: f.Help, Buckets: bounds}, f.Labels)
	}).WithLabelValues(values...)
}

// Gauge implements metrics.Meter.
func (m *meter) Gauge(f metrics.Family, read func() float64, values ...string) {
	family(m, f.Name, func() *gauges {
		return &gauges{description: prometheus.NewDesc(f.Name, f.Help, f.Labels, nil), of: make(map[string]gauge)}
	}).set(gauge{read, values})
}

// Register implements metrics.Meter. It registers all families or none.
func (m *meter) Register() (unregister func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, made := range m.order {
		if err := m.registerer.Register(made); err != nil {
			for _, before := range m.order[:i] {
				m.registerer.Unregister(before)
			}
			return nil, err
		}
	}
	m.registered = true
	return m.unregister, nil
}

func (m *meter) unregister() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, made := range m.order {
		m.registerer.Unregister(made)
	}
	m.registered = false
}

// gauges is a family whose values are read when they are collected.
type gauges struct {
	description *prometheus.Desc

	mu sync.Mutex
	of map[string]gauge
}

type gauge struct {
	read   func() float64
	values []string
}

func (g *gauges) set(one gauge) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[strings.Join(one.values, "\x00")] = one
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) { out <- g.description }

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	all := make([]gauge, 0, len(g.of))
	for _, one := range g.of {
		all = append(all, one)
	}
	g.mu.Unlock()
	for _, one := range all {
		out <- prometheus.MustNewConstMetric(g.description, prometheus.GaugeValue, one.read(), one.values...)
	}
}
