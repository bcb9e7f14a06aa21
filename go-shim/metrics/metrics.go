// Package metrics is how the shim and the front door report: a small interface to whatever collects a service's metrics.
// Package shimprom implements it for Prometheus.
package metrics

// Meter makes instruments. They are made when a shim opens or a door is made, and kept: no request looks one up. A shim and a
// door need one each. It may be used from any goroutine.
type Meter interface {
	// Counter counts up. Values are those of the labels of f, in their order; the same ones get the same counter.
	Counter(f Family, values ...string) Counter
	// Gauge shows what read returns whenever metrics are read, from Register on.
	Gauge(f Family, read func() float64, values ...string)
	// Histogram counts observations by these upper bounds, which ascend.
	Histogram(f Family, bounds []float64, values ...string) Histogram
	// Register shows what was made, and what will be, until unregister is called.
	Register() (unregister func(), err error)
}

// Family is what instruments with the same name have in common.
type Family struct {
	Name, Help string
	// Labels are names.
	Labels []string
}

// Counter never goes down. It may be called from any goroutine, as requests do.
type Counter interface {
	Inc()
	Add(float64)
}

// Histogram may be called from any goroutine, as requests do.
type Histogram interface {
	Observe(float64)
}

// Discard reports to nobody.
type Discard struct{}

// Counter implements Meter.
func (Discard) Counter(Family, ...string) Counter { return nothing{} }

// Gauge implements Meter.
func (Discard) Gauge(Family, func() float64, ...string) {}

// Histogram implements Meter.
func (Discard) Histogram(Family, []float64, ...string) Histogram { return nothing{} }

// Register implements Meter.
func (Discard) Register() (func(), error) { return func() {}, nil }

type nothing struct{}

func (nothing) Inc()            {}
func (nothing) Add(float64)     {}
func (nothing) Observe(float64) {}
