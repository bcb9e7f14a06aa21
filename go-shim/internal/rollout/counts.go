package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts are counters of one method, as the metrics of a shim show them, or what they have grown by.
type Counts struct {
	// Compared counts compared requests by class: equal, metadata, moved, stale or real.
	Compared map[string]uint64 `json:"compared,omitempty"`
	// Dropped counts comparisons that were not made, by reason.
	Dropped map[string]uint64 `json:"dropped,omitempty"`
	// Requests counts requests by who answered them: sidecar or legacy.
	Requests map[string]uint64 `json:"requests,omitempty"`
	// Fallbacks counts requests that the mode forwards and Go answered, by reason.
	Fallbacks map[string]uint64 `json:"fallbacks,omitempty"`
	// Go and Sidecar are histograms of the time that each side took for compared requests. See Quantile.
	Go      map[string]uint64 `json:"go_seconds,omitempty"`
	Sidecar map[string]uint64 `json:"sidecar_seconds,omitempty"`
}

// Tally holds Counts by method.
type Tally map[string]*Counts

const (
	classReal = "real"
	// atSidecar is the label value of requests that the sidecar answered.
	atSidecar = "sidecar"
)

func (c *Counts) families() []*map[string]uint64 {
	return []*map[string]uint64{&c.Compared, &c.Dropped, &c.Requests, &c.Fallbacks, &c.Go, &c.Sidecar}
}

// Add adds n to a counter of a family, such as Compared. The label is there even if n is 0, because the buckets of a
// histogram begin where those before them end.
func Add(family *map[string]uint64, label string, n uint64) {
	if *family == nil {
		*family = make(map[string]uint64)
	}
	(*family)[label] += n
}

// Of returns the Counts of a method, and makes them if there are none.
func (t Tally) Of(method string) *Counts {
	if t[method] == nil {
		t[method] = new(Counts)
	}
	return t[method]
}

func (t Tally) add(other Tally) {
	for method, more := range other {
		t.Of(method).add(more)
	}
}

func (c *Counts) add(more *Counts) {
	for i, family := range more.families() {
		for label, n := range *family {
			Add(c.families()[i], label, n)
		}
	}
}

// total is the sum over all methods.
func (t Tally) total() *Counts {
	sum := new(Counts)
	for _, one := range t {
		sum.add(one)
	}
	return sum
}

// Only returns the Counts of some methods, none of them nil.
func (t Tally) Only(methods []string) Tally {
	some := make(Tally, len(methods))
	for _, name := range methods {
		some.Of(name)
		if c := t[name]; c != nil {
			some[name].add(c)
		}
	}
	return some
}

// Increase returns by how much the counters of one replica have grown. As Prometheus' rate does, it takes a counter that
// has become smaller, or is gone, for one that began at 0 again. All counters of a replica live and die with its process,
// so one of them is enough to know it of all.
func Increase(before, after Tally) Tally {
	if restarted(before, after) {
		before = nil
	}
	grown := make(Tally, len(after))
	for method, now := range after {
		was := before.family(method)
		for i, family := range now.families() {
			for label, n := range *family {
				Add(grown.Of(method).families()[i], label, n-(*was[i])[label])
			}
		}
	}
	return grown
}

// family returns the families of a method, which may be empty.
func (t Tally) family(method string) []*map[string]uint64 {
	if c := t[method]; c != nil {
		return c.families()
	}
	return new(Counts).families()
}

func restarted(before, after Tally) bool {
	for method, was := range before {
		now := after.family(method)
		for i, family := range was.families() {
			for label, n := range *family {
				if (*now[i])[label] < n {
					return true
				}
			}
		}
	}
	return false
}

// real is the number of real mismatches.
func (c *Counts) real() uint64 { return c.Compared[classReal] }

// compared is the number of requests whose comparison says something. What the ledger moved past between the two answers
// (moved, stale) may be right or wrong.
func (c *Counts) compared() uint64 {
	return c.Compared["equal"] + c.Compared["metadata"] + c.real()
}

// timed is the number of requests for which the time of both sides is known.
func (c *Counts) timed() uint64 { return min(c.Go[infinity], c.Sidecar[infinity]) }

// forwarded is the number of requests that the mode forwarded.
func (c *Counts) forwarded() uint64 { return c.Requests[atSidecar] + sum(c.Fallbacks) }

func sum(family map[string]uint64) (total uint64) {
	for _, n := range family {
		total += n
	}
	return total
}

// most lists the counters of a family that are above 0, largest first.
func most(family map[string]uint64) string {
	labels := slices.SortedFunc(maps.Keys(family), func(a, b string) int {
		return cmp.Or(cmp.Compare(family[b], family[a]), cmp.Compare(a, b))
	})
	labels = slices.DeleteFunc(labels, func(label string) bool { return family[label] == 0 })
	for i, label := range labels {
		labels[i] = fmt.Sprintf("%s %d", label, family[label])
	}
	return strings.Join(labels, ", ")
}
