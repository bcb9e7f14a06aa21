// Package telemetry counts what the shim does. Nothing is global: each shim has a Set of its own.
package telemetry

import (
	"time"

	"hotpath.dev/go-shim/metrics"
)

// side is the label value of the breaker for the whole side. The other breakers have the names of their methods.
const side = "side"

// Names holds the values of labels that are known from the start.
type Names struct {
	Methods, Modes []string
	// Classes are what comparisons find, ComparisonDrops why requests are not compared.
	Classes, ComparisonDrops []string
	Fallbacks                []Fallback
	// LaneFailures, FeedRefusals and DoorReasons are reasons, DoorRules are rules.
	LaneFailures, FeedRefusals, DoorReasons, DoorRules []string
}

// Fallback is why a local handler answers, and what kind of reason that is.
type Fallback struct{ Reason, Class string }

// Gauges holds functions that are called whenever the metrics are read.
type Gauges struct {
	// Sidecars are about one sidecar each.
	Sidecars []SidecarGauges
	// DoorOpen says whether the spliced front door answers hot calls.
	DoorOpen func() bool
	// DoorUnread is how many bytes its callers have yet to take.
	DoorUnread   func() int64
	HeadPosition func() uint64
	// Mode returns the kind of the i-th method's mode, the percentage of keys that are forwarded, and that of requests that are
	// compared. Killed is true while the kill file is there.
	Mode   func(i int) (kind string, percent, check int)
	Killed func() bool
	// Demoted says whether a real difference has demoted the i-th method. Waiting is how many requests wait to be compared.
	Demoted func(i int) bool
	Waiting func() int
}

// Set holds the metrics of one shim.
type Set struct {
	methods  []Method
	sidecars []*Sidecar

	Door *Door

	ModeReloadErrors metrics.Counter
}

// Method holds the metrics of one hot method. They are looked up once, so that a request looks up none, unless the
// sidecar's model declines it.
type Method struct {
	name            string
	servedBySidecar metrics.Counter
	servedByLegacy  metrics.Counter
	fallbacks       []metrics.Counter
	hop             metrics.Histogram
	declines        *declines
	localMetadata   metrics.Counter
	splicedLocal    metrics.Counter
	hedges          func(wonBy string) metrics.Counter

	Compared *Comparisons
}

// New makes a set. Its gauges are not read before the meter is registered.
func New(meter metrics.Meter, names Names, gauges Gauges) *Set {
	s := &Set{
		Door: newDoor(meter, names, gauges), methods: make([]Method, len(names.Methods)),
		ModeReloadErrors: counter(meter, "hotpath_shim_modes_reload_errors_total",
			"Times the modes file or the kill file could not be used after a change."),
	}
	meter.Gauge(metrics.Family{Name: "hotpath_shim_killed", Help: "1 while the kill file is there, so that all methods are in mode legacy."},
		func() float64 { return truth(gauges.Killed()) })
	meter.Gauge(metrics.Family{Name: "hotpath_shim_comparisons_waiting", Help: "Requests that wait to be compared."},
		func() float64 { return float64(gauges.Waiting()) })
	s.makeMethods(meter, names, gauges)
	s.sidecars = newSidecars(meter, names, gauges.Sidecars)
	position(meter, "hotpath_shim_head_position", "The last durable position of the ledger.", gauges.HeadPosition)
	return s
}

func (s *Set) makeMethods(meter metrics.Meter, names Names, gauges Gauges) {
	served := metrics.Family{Name: "hotpath_shim_requests_total", Help: "Requests of hot methods by who answered them.",
		Labels: []string{"method", "served_by"}}
	fallbacks := metrics.Family{Name: "hotpath_shim_fallbacks_total",
		Help: "Requests that the mode forwards and that the local handler answered, by reason.", Labels: []string{"method", "reason", "class"}}
	hop := metrics.Family{Name: "hotpath_shim_hop_seconds", Help: "Time from sending a request to the sidecar to its outcome.",
		Labels: []string{"method"}}
	bounds := []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, .1, .2, .5, 1}
	mode := metrics.Family{Name: "hotpath_shim_mode", Help: "1 for the mode that the method is in, 0 for the others.",
		Labels: []string{"method", "mode"}}
	percent := metrics.Family{Name: "hotpath_shim_forwarded_percent", Labels: []string{"method"},
		Help: "Percentage of keys that the method's mode forwards: 0 in legacy, 100 in sidecar."}
	localMetadata := metrics.Family{Name: "hotpath_shim_local_metadata_total", Labels: []string{"method"},
		Help: "Answers of the local handler with response headers or trailers, which answers of the sidecar lack."}
	splicedLocal := metrics.Family{Name: "hotpath_shim_spliced_local_total", Labels: []string{"method"},
		Help: "Requests that a worker of the spliced front door gave to the local handler, without grpc-go."}
	check := metrics.Family{Name: "hotpath_shim_checked_percent", Labels: []string{"method"},
		Help: "Percentage of requests that the method's mode has compared."}
	demoted := metrics.Family{Name: "hotpath_shim_demoted", Labels: []string{"method"},
		Help: "1 while Go answers the method because the sidecar has answered differently."}
	hedges := metrics.Family{Name: "hotpath_shim_hedges_total", Labels: []string{"method", "won_by"},
		Help: "Requests that the local handler got as well, because the sidecar took long, by whose answer came first."}
	declines := newDeclines(meter)
	for i, name := range names.Methods {
		m := &s.methods[i]
		m.name, m.declines, m.localMetadata = name, declines, meter.Counter(localMetadata, name)
		m.hedges = func(wonBy string) metrics.Counter { return meter.Counter(hedges, name, wonBy) }
		m.hedges("go")
		m.hedges("sidecar")
		m.Compared = newComparisons(meter, names, name, bounds)
		m.splicedLocal = meter.Counter(splicedLocal, name)
		m.servedBySidecar, m.servedByLegacy = meter.Counter(served, name, "sidecar"), meter.Counter(served, name, "legacy")
		m.hop = meter.Histogram(hop, bounds, name)
		for _, f := range names.Fallbacks {
			m.fallbacks = append(m.fallbacks, meter.Counter(fallbacks, name, f.Reason, f.Class))
		}
		for _, one := range names.Modes {
			meter.Gauge(mode, func() float64 { kind, _, _ := gauges.Mode(i); return truth(kind == one) }, name, one)
		}
		meter.Gauge(percent, func() float64 { _, percent, _ := gauges.Mode(i); return float64(percent) }, name)
		meter.Gauge(check, func() float64 { _, _, check := gauges.Mode(i); return float64(check) }, name)
		meter.Gauge(demoted, func() float64 { return truth(gauges.Demoted(i)) }, name)
	}
}

// byReason shows the known reasons from the start. A sidecar may name others.
func byReason(meter metrics.Meter, f metrics.Family, known []string) func(string) metrics.Counter {
	of := func(reason string) metrics.Counter { return meter.Counter(f, reason) }
	for _, reason := range known {
		of(reason)
	}
	return of
}

func counter(meter metrics.Meter, name, help string) metrics.Counter {
	return meter.Counter(metrics.Family{Name: name, Help: help})
}

func gauge(meter metrics.Meter, name, help string, read func() bool) {
	meter.Gauge(metrics.Family{Name: name, Help: help}, func() float64 { return truth(read()) })
}

func position(meter metrics.Meter, name, help string, read func() uint64) {
	meter.Gauge(metrics.Family{Name: name, Help: help}, func() float64 { return float64(read()) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Method returns the metrics of the i-th method given to New.
func (s *Set) Method(i int) *Method { return &s.methods[i] }

// Sidecar returns the metrics of the i-th sidecar.
func (s *Set) Sidecar(i int) *Sidecar { return s.sidecars[i] }

// Sidecar counts a request that the sidecar answered.
func (m *Method) Sidecar() { m.servedBySidecar.Inc() }

// Legacy counts a request that was left to the local handler by its mode.
func (m *Method) Legacy() { m.servedByLegacy.Inc() }

// Fallback counts a request that the local handler answered. reason is the index of the reason in Names.Fallbacks.
func (m *Method) Fallback(reason int) {
	m.servedByLegacy.Inc()
	m.fallbacks[reason].Inc()
}

// Declined counts a request that the sidecar's model left to the local handler. reason is the model's own reason.
func (m *Method) Declined(reason string) { m.declines.count(m.name, reason) }

// SplicedLocal counts a request that reached the local handler without grpc-go.
func (m *Method) SplicedLocal() { m.splicedLocal.Inc() }

// LocalMetadata counts an answer of the local handler with headers or trailers.
func (m *Method) LocalMetadata() { m.localMetadata.Inc() }

// Hedged counts a request that both sides got, by who answered first: "go" or "sidecar".
func (m *Method) Hedged(wonBy string) { m.hedges(wonBy).Inc() }

// Hop records how long the sidecar took.
func (m *Method) Hop(took time.Duration) { m.hop.Observe(took.Seconds()) }
