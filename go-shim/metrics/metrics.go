// Package metrics is the interface through which the shim and the front door report to whatever collects a service's
// metrics. Package shimprom implements it for Prometheus.
package metrics

// Meter makes instruments. A shim or a door makes and keeps most of them when it starts. Later, only rare events and
// requests that the sidecar's model declines look one up. Each shim and each door needs a Meter of its own. A Meter may
// be used from any goroutine.
type Meter interface {
	// Counter returns a counter. values are the values of f's labels, in their order. The same values get the same
	// counter.
	Counter(f Family, values ...string) Counter
	// Gauge adds a gauge that shows what read returns. read is called whenever metrics are read, but not before
	// Register.
	Gauge(f Family, read func() float64, values ...string)
	// Histogram returns a histogram with these upper bounds, which ascend.
	Histogram(f Family, bounds []float64, values ...string) Histogram
	// Register shows all instruments, also those made later, until unregister is called.
	Register() (unregister func(), err error)
}

// Family is what instruments with the same name have in common.
type Family struct {
	Name, Help string
	// Labels are the names of the labels.
	Labels []string
}

// Counter never goes down. Its methods may be called from any goroutine.
type Counter interface {
	Inc()
	Add(float64)
}

// Histogram counts observations. Its method may be called from any goroutine.
type Histogram interface {
	Observe(float64)
}

// Discard is a Meter that reports to nobody.
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
