package telemetry

import (
	"sync/atomic"

	"hotpath.dev/go-shim/metrics"
)

// Door holds the metrics of the spliced front door.
type Door struct {
	connections atomic.Int64
	answered    metrics.Counter
	handedOver  []metrics.Counter
	ended       func(rule string) metrics.Counter
}

func newDoor(meter metrics.Meter, names Names, gauges Gauges) *Door {
	d := &Door{
		answered: counter(meter, "hotpath_shim_spliced_answered_total",
			"Calls of hot methods that the spliced front door answered, on the callers' connections."),
		ended: byReason(meter, metrics.Family{Name: "hotpath_shim_spliced_connections_ended_total", Labels: []string{"rule"},
			Help: "Connections behind the spliced front door that ended by a rule."}, names.DoorRules),
	}
	handedOver := metrics.Family{Name: "hotpath_shim_spliced_handed_over_total", Labels: []string{"reason"},
		Help: "Calls of hot methods that the spliced front door left to grpc-go, by reason."}
	for _, reason := range names.DoorReasons {
		d.handedOver = append(d.handedOver, meter.Counter(handedOver, reason))
	}
	gauge(meter, "hotpath_shim_spliced_door_open",
		"1 while the spliced front door takes hot calls; 0 if they all go through grpc-go.", gauges.DoorOpen)
	meter.Gauge(metrics.Family{Name: "hotpath_shim_spliced_connections", Help: "Connections behind the spliced front door."},
		func() float64 { return float64(d.connections.Load()) })
	meter.Gauge(metrics.Family{Name: "hotpath_shim_spliced_unread_bytes",
		Help: "Bytes that callers behind the spliced front door have yet to take."},
		func() float64 { return float64(gauges.DoorUnread()) })
	return d
}

// Opened counts a connection.
func (d *Door) Opened() { d.connections.Add(1) }

// Closed counts the end of a connection, and the rule that ended it, if one did.
func (d *Door) Closed(broke string) {
	d.connections.Add(-1)
	if broke != "" {
		d.ended(broke).Inc()
	}
}

// Answered counts calls that were answered on their connections.
func (d *Door) Answered(calls int) { d.answered.Add(float64(calls)) }

// HandedOver counts calls that grpc-go got. reason is the index of the reason in Names.DoorReasons.
func (d *Door) HandedOver(reason, calls int) { d.handedOver[reason].Add(float64(calls)) }
