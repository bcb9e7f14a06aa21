package telemetry

import (
	"time"

	"hotpath.dev/go-shim/metrics"
)

const (
	// maxFields bounds the distinct fields of a method.
	maxFields   = 64
	otherFields = "(other)"
)

// Comparisons counts what comparing a method's answers found.
type Comparisons struct {
	classes             []metrics.Counter
	dropped             func(reason string) metrics.Counter
	fromGo, fromSidecar metrics.Histogram
	field               func(field string) metrics.Counter
	demotions           metrics.Counter
	fields              *bounded
}

func newComparisons(meter metrics.Meter, names Names, method string, bounds []float64) *Comparisons {
	c := &Comparisons{fields: newBounded(maxFields, otherFields)}
	compared := metrics.Family{Name: "hotpath_shim_compared_total", Labels: []string{"method", "class"},
		Help: "Requests whose answers by Go and by the sidecar were compared, by what was found."}
	for _, class := range names.Classes {
		c.classes = append(c.classes, meter.Counter(compared, method, class))
	}
	dropped := metrics.Family{Name: "hotpath_shim_comparisons_dropped_total", Labels: []string{"method", "reason"},
		Help: "Requests that the mode compares and that were not compared, by reason."}
	c.dropped = func(reason string) metrics.Counter { return meter.Counter(dropped, method, reason) }
	for _, reason := range names.ComparisonDrops {
		c.dropped(reason)
	}
	fields := metrics.Family{Name: "hotpath_shim_differing_fields_total", Labels: []string{"method", "field"},
		Help: "Places in which the answers of real differences differ, by field."}
	c.field = func(field string) metrics.Counter { return meter.Counter(fields, method, field) }
	seconds := metrics.Family{Name: "hotpath_shim_compared_seconds", Labels: []string{"method", "by"},
		Help: "Time that each side took for the requests that were compared."}
	c.fromGo, c.fromSidecar = meter.Histogram(seconds, bounds, method, "go"), meter.Histogram(seconds, bounds, method, "sidecar")
	c.demotions = meter.Counter(metrics.Family{Name: "hotpath_shim_demotions_total", Labels: []string{"method"},
		Help: "Times a real difference has demoted the method."}, method)
	return c
}

// Count counts a comparison. class is the index of the class in Names.Classes. A time of 0 is not observed.
func (c *Comparisons) Count(class int, fromGo, fromSidecar time.Duration) {
	c.classes[class].Inc()
	if fromGo > 0 {
		c.fromGo.Observe(fromGo.Seconds())
	}
	if fromSidecar > 0 {
		c.fromSidecar.Observe(fromSidecar.Seconds())
	}
}

// Dropped counts a request that was not compared.
func (c *Comparisons) Dropped(reason string) { c.dropped(reason).Inc() }

// Demoted counts a demotion.
func (c *Comparisons) Demoted() { c.demotions.Inc() }

// Field counts a place where answers differ.
func (c *Comparisons) Field(field string) { c.field(c.fields.label(field)).Inc() }
