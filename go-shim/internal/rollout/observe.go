package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// Sample is what the metrics of one replica show at one moment.
type Sample struct {
	// Tally holds its counters since its process began.
	Tally Tally
	// Percent is the forwarded percentage of each method, or -1 if the metrics contradict themselves.
	Percent map[string]int
	// Killed says that the kill file is there, and Demoted which methods the shim took from the sidecar.
	Killed  bool
	Demoted []string
}

// Sight is a look at one replica: a Sample, or why there is none.
type Sight struct {
	// Replica is its name, which stays the same.
	Replica string
	Sample  Sample
	Err     error
}

// Observation is what all replicas together show.
type Observation struct {
	// Away says why not all replicas are known to be in the stage. It is empty if they are.
	Away string
	// Killed, Demoted and Edited each say where such a thing was seen, if it was. The caller sets Edited.
	Killed, Demoted, Edited string
	// Grown is by how much the counters of the plan's methods have grown since the last observation.
	Grown Tally
}

// Observe puts a look at each replica together, and remembers the counters for the next time. Of a replica that was never
// seen before, nothing counts yet.
func (r *Rollout) Observe(sights []Sight) Observation {
	s, o := &r.State, Observation{Grown: make(Tally)}
	for _, sight := range sights {
		if sight.Err != nil {
			o.away("%s cannot be asked: %v", sight.Replica, sight.Err)
			continue
		}
		now := sight.Sample.Tally.Only(r.Plan.Methods)
		if before, known := s.Last[sight.Replica]; known {
			o.Grown.add(Increase(before, now))
		}
		if s.Last == nil {
			s.Last = make(map[string]Tally)
		}
		s.Last[sight.Replica] = now
		if sight.Sample.Killed {
			o.Killed = "the kill file is there: " + sight.Replica
		}
		for _, method := range sight.Sample.Demoted {
			if slices.Contains(r.Plan.Methods, method) {
				o.Demoted = fmt.Sprintf("%s demoted %s", sight.Replica, method)
			}
		}
		for _, method := range r.Plan.Methods {
			if percent, shown := sight.Sample.Percent[method]; !shown {
				o.away("%s does not show %s", sight.Replica, method)
			} else if percent != r.Percent() {
				o.away("%s forwards %d%% of %s, not %d%%", sight.Replica, max(percent, 0), method, r.Percent())
			}
		}
	}
	return o
}

// away keeps the first reason.
func (o *Observation) away(format string, a ...any) {
	if o.Away == "" {
		// An error may have several lines.
		o.Away = strings.ReplaceAll(fmt.Sprintf(format, a...), "\n", ", ")
	}
}
