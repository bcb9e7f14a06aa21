package frontdoor

import (
	"fmt"

	"hotpath.dev/go-shim/metrics"
)

// Names of the limits for which calls and connections are refused.
const (
	limitConnections = "connections"
	limitWaiting     = "waiting"
	limitRunning     = "running"
	limitUnread      = "unread"
)

// counters holds the counters of a door. The first three are named after the limit that was reached.
type counters struct {
	connections, waiting, unread metrics.Counter
	late, stalled                metrics.Counter
}

// newCounters registers the metrics with meter, unless it is nil. A second door on the same meter is a mistake in the
// program, so newCounters then panics.
func newCounters(d *Door, meter metrics.Meter) *counters {
	if meter == nil {
		meter = metrics.Discard{}
	}
	refused := metrics.Family{Name: "frontdoor_refused_total",
		Help: "Connections closed at once and calls refused, by the limit that was reached.", Labels: []string{"limit"}}
	c := &counters{
		connections: meter.Counter(refused, limitConnections),
		waiting:     meter.Counter(refused, limitWaiting),
		unread:      meter.Counter(refused, limitUnread),
		late: meter.Counter(metrics.Family{
			Name: "frontdoor_late_total", Help: "Calls ended because their message took too long to arrive.",
		}),
		stalled: meter.Counter(metrics.Family{
			Name: "frontdoor_stalled_total", Help: "Connections closed because the caller took nothing of what it was owed.",
		}),
	}
	d.running.refused = meter.Counter(refused, limitRunning)
	gauge := func(name, help string, value func() float64) {
		meter.Gauge(metrics.Family{Name: name, Help: help}, value)
	}
	gauge("frontdoor_connections", "Open connections.", func() float64 { return float64(d.connections()) })
	gauge("frontdoor_waiting_calls", "Calls whose message has yet to arrive.", func() float64 { return float64(d.arrivals.count()) })
	gauge("frontdoor_running_calls", "Handlers of unary calls that are running.", func() float64 { return float64(d.running.count()) })
	gauge("frontdoor_queued_calls", "Unary calls whose message has arrived and whose handler waits for its turn.", func() float64 { return float64(d.running.queued.Load()) })
	gauge("frontdoor_unread_bytes", "Bytes of watched replies that have not left.", func() float64 { return float64(d.unread.Load()) })
	if _, err := meter.Register(); err != nil {
		panic(fmt.Sprintf("frontdoor: register metrics: %v", err))
	}
	return c
}

func (d *Door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
