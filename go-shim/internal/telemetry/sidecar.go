package telemetry

import (
	"slices"
	"strconv"
	"sync/atomic"

	"hotpath.dev/go-shim/metrics"
)

// SidecarGauges holds functions about one sidecar that are called whenever the metrics are read.
type SidecarGauges struct {
	// BreakerOpen says whether the i-th breaker is not closed. Breaker 0 is the side's; those of the methods follow.
	BreakerOpen func(i int) bool
	// BudgetSpent says whether most requests of the i-th method stay local.
	BudgetSpent func(i int) bool
	Ready       func() bool
	Position    func() uint64
	// Asked says whether this is the one that is asked.
	Asked func() bool
}

// Sidecar holds the metrics of one sidecar.
type Sidecar struct {
	Lanes          *Lanes
	Restarts       metrics.Counter
	FeedReconnects metrics.Counter
	// TakeOvers counts how often this one began to be asked in place of the other.
	TakeOvers metrics.Counter

	givenUp     atomic.Bool
	refused     []atomic.Bool
	feedRefused func(reason string) metrics.Counter
	transitions func(breaker, to string) metrics.Counter
	askedAgain  []metrics.Counter
}

// numbered adds the label sidecar to all that is made with it.
type numbered struct {
	metrics.Meter
	number string
}

func (n numbered) with(f metrics.Family, values []string) (metrics.Family, []string) {
	f.Labels = slices.Concat([]string{"sidecar"}, f.Labels)
	return f, slices.Concat([]string{n.number}, values)
}

// Counter implements metrics.Meter.
func (n numbered) Counter(f metrics.Family, values ...string) metrics.Counter {
	f, values = n.with(f, values)
	return n.Meter.Counter(f, values...)
}

// Gauge implements metrics.Meter.
func (n numbered) Gauge(f metrics.Family, read func() float64, values ...string) {
	f, values = n.with(f, values)
	n.Meter.Gauge(f, read, values...)
}

// newSidecars makes the metrics of each sidecar. Only if there are several do they have the label sidecar.
func newSidecars(meter metrics.Meter, names Names, gauges []SidecarGauges) []*Sidecar {
	all := make([]*Sidecar, len(gauges))
	for i := range gauges {
		if len(gauges) == 1 {
			all[i] = newSidecar(meter, names, gauges[i])
			all[i].TakeOvers = metrics.Discard{}.Counter(metrics.Family{})
			continue
		}
		numbered := numbered{meter, strconv.Itoa(i)}
		all[i] = newSidecar(numbered, names, gauges[i])
		all[i].amongSeveral(numbered, names, gauges[i])
	}
	return all
}

func newSidecar(meter metrics.Meter, names Names, gauges SidecarGauges) *Sidecar {
	s := &Sidecar{
		Lanes: newLanes(meter, names.LaneFailures), refused: make([]atomic.Bool, len(names.Methods)),
		Restarts:       counter(meter, "hotpath_shim_sidecar_restarts_total", "Times the supervised sidecar was started again."),
		FeedReconnects: counter(meter, "hotpath_shim_feed_reconnects_total", "Feeds opened after the first."),
		feedRefused: byReason(meter, metrics.Family{Name: "hotpath_shim_feed_refusals_total",
			Help: "Connections or feeds that the sidecar refused, by reason.", Labels: []string{"reason"}}, names.FeedRefusals),
	}
	refused := metrics.Family{Name: "hotpath_shim_method_refused", Help: "1 if the sidecar refused the method in its last Hello.",
		Labels: []string{"method"}}
	spent := metrics.Family{Name: "hotpath_shim_budget_spent", Labels: []string{"method"},
		Help: "1 while most requests stay local, because too many hops of the method ended without an answer."}
	for i, name := range names.Methods {
		meter.Gauge(refused, func() float64 { return truth(s.refused[i].Load()) }, name)
		meter.Gauge(spent, func() float64 { return truth(gauges.BudgetSpent(i)) }, name)
	}
	s.makeBreakers(meter, names, gauges)
	gauge(meter, "hotpath_shim_sidecar_given_up",
		"1 while the supervised sidecar is not started again, because it could not start as it is set.", s.givenUp.Load)
	gauge(meter, "hotpath_shim_sidecar_ready", "1 while the sidecar is connected and has caught up.", gauges.Ready)
	position(meter, "hotpath_shim_sidecar_position", "The newest position that the sidecar published, as last heard.", gauges.Position)
	return s
}

// amongSeveral makes what a single sidecar has no need of.
func (s *Sidecar) amongSeveral(meter metrics.Meter, names Names, gauges SidecarGauges) {
	gauge(meter, "hotpath_shim_sidecar_asked", "1 for the sidecar that is asked, 0 for the one that stands by.", gauges.Asked)
	s.TakeOvers = counter(meter, "hotpath_shim_takeovers_total", "Times this sidecar began to be asked in place of the other.")
	again := metrics.Family{Name: "hotpath_shim_asked_again_total", Labels: []string{"reason"},
		Help: "Requests that the other sidecar was asked, because this one gave no answer, by reason."}
	for _, f := range names.Fallbacks {
		s.askedAgain = append(s.askedAgain, meter.Counter(again, f.Reason))
	}
}

func (s *Sidecar) makeBreakers(meter metrics.Meter, names Names, gauges SidecarGauges) {
	open := metrics.Family{Name: "hotpath_shim_breaker_open",
		Help: "1 while a breaker, of the whole side or of a method, is not closed.", Labels: []string{"breaker"}}
	changes := metrics.Family{Name: "hotpath_shim_breaker_transitions_total",
		Help: "Transitions of breakers, by the state that they came to.", Labels: []string{"breaker", "to"}}
	s.transitions = func(breaker, to string) metrics.Counter { return meter.Counter(changes, breaker, to) }
	for i, name := range append([]string{side}, names.Methods...) {
		meter.Gauge(open, func() float64 { return truth(gauges.BreakerOpen(i)) }, name)
		for _, to := range []string{"closed", "open", "half_open"} {
			s.transitions(name, to)
		}
	}
}

// SetRefused shows whether the sidecar refused the i-th method.
func (s *Sidecar) SetRefused(i int, refused bool) { s.refused[i].Store(refused) }

// BreakerChanged counts one transition.
func (s *Sidecar) BreakerChanged(name, to string) { s.transitions(name, to).Inc() }

// SetGivenUp shows whether the supervised sidecar is not to be started again.
func (s *Sidecar) SetGivenUp(givenUp bool) { s.givenUp.Store(givenUp) }

// FeedRefused counts one refusal.
func (s *Sidecar) FeedRefused(reason string) { s.feedRefused(reason).Inc() }

// AskedAgain counts a request for which the other sidecar is asked. reason is the index of the reason in Names.Fallbacks.
func (s *Sidecar) AskedAgain(reason int) { s.askedAgain[reason].Inc() }
