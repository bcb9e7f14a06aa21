package rollout

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// one is the tally of a method whose counters of requests and fallbacks stand at these numbers.
func one(sidecar, busy uint64) Tally {
	c := &Counts{}
	Add(&c.Requests, atSidecar, sidecar)
	Add(&c.Fallbacks, "busy", busy)
	return Tally{methodA: c}
}

func TestIncreaseTakesADecreaseForARestart(t *testing.T) {
	for _, c := range []struct{ before, after, want Tally }{
		{nil, one(3, 0), one(3, 0)},
		{one(3, 1), one(5, 1), one(2, 0)},
		{one(3, 1), one(2, 0), one(2, 0)},
		{one(3, 1), one(3, 1), one(0, 0)},
		{one(3, 1), one(9, 0), one(9, 0)}, // one counter shows it of all
		{one(3, 1), Tally{}, Tally{}},
		{one(3, 1), Tally{methodB: {Requests: map[string]uint64{atSidecar: 4}}}, Tally{methodB: {Requests: map[string]uint64{atSidecar: 4}}}},
	} {
		got := Increase(c.before, c.after)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("from %v to %v: got %v", c.before[methodA], c.after[methodA], got[methodA])
		}
	}
}

// The numbers are those of histogram_quantile of Prometheus, by its documentation: linear within a bucket.
func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		q         float64
		histogram string
		want      float64
		err       error
	}{
		{0.99, "", 0, ErrEmpty},
		{0.99, "0.1:0 +Inf:0", 0, ErrEmpty},
		{0.5, "0.1:10 +Inf:10", 0.05, nil},
		{0.99, "0.1:90 0.2:100 +Inf:100", 0.19, nil},
		{0.99, "0.1:99 0.2:100 +Inf:100", 0.1, nil},
		{0.99, "5e-05:0 0.1:0 0.2:1 +Inf:1", 0.199, nil},
		{0.99, "0.1:50 0.2:98 +Inf:100", 0.2, ErrBeyond},
		{0.99, "+Inf:3", 0, ErrBeyond},
		{0.9, "0.1:50 0.15:40 0.2:100 +Inf:100", 0.19, nil}, // not monotonic
	} {
		histogram := make(map[string]uint64)
		for _, part := range strings.Fields(c.histogram) {
			label, n, _ := strings.Cut(part, ":")
			var count uint64
			if _, err := fmt.Sscan(n, &count); err != nil {
				t.Fatal(err)
			}
			histogram[label] = count
		}
		got, err := Quantile(c.q, histogram)
		if math.Abs(got-c.want) > 1e-9 || !errors.Is(err, c.err) {
			t.Errorf("%v of %s: %v, %v", c.q, c.histogram, got, err)
		}
	}
	if _, err := Quantile(0.5, map[string]uint64{"odd": 1, infinity: 1}); err == nil {
		t.Error("a bound that is no number")
	}
}

func TestARatioThatCannotBeKnownIsTooHighRatherThanTooLow(t *testing.T) {
	quick, slow, beyond := map[string]uint64{"0.1": 1, infinity: 1}, map[string]uint64{"0.1": 0, "0.2": 1, infinity: 1}, map[string]uint64{"0.2": 0, infinity: 1}
	for _, c := range []struct {
		legacy, sidecar map[string]uint64
		want            string
	}{
		{nil, nil, "-"}, {quick, nil, "-"}, {nil, quick, "-"}, {nil, beyond, "-"}, {quick, quick, "1.00"}, {slow, quick, "0.50"},
		{quick, slow, "2.01"}, {beyond, slow, "0.99"}, {slow, beyond, "beyond"}, {beyond, beyond, "beyond"},
	} {
		if got := (&Counts{Go: c.legacy, Sidecar: c.sidecar}).ratioText(); got != c.want {
			t.Errorf("%v, %v: %s, want %s", c.legacy, c.sidecar, got, c.want)
		}
	}
}

func TestObservePutsReplicasTogether(t *testing.T) {
	w := begin(t, plan())
	in := map[string]int{methodA: 5, methodB: 5, "/other/M": 0}
	sight := func(name string, tally Tally) Sight {
		return Sight{Replica: name, Sample: Sample{Tally: tally, Percent: in, Demoted: []string{"/other/M"}}}
	}
	o := w.Observe([]Sight{sight("x", one(100, 5)), {Replica: "y", Err: errors.New("refused\nagain")}})
	if n := o.Grown.total().forwarded(); n != 0 || o.Away != "y cannot be asked: refused, again" || o.Demoted != "" || o.Killed != "" {
		t.Errorf("%+v, %d forwarded", o, n)
	}
	o = w.Observe([]Sight{sight("x", one(110, 6)), sight("y", one(7, 0))})
	if n := o.Grown.total().forwarded(); n != 11 || o.Away != "" {
		t.Errorf("%+v, %d forwarded", o, n)
	}
	other := sight("y", one(8, 0))
	other.Sample.Killed, other.Sample.Demoted = true, []string{methodB}
	for percent, want := range map[int]string{0: "y forwards 0% of /a.B/A, not 5%", -1: "y forwards 0% of /a.B/A, not 5%", 50: "y forwards 50% of"} {
		other.Sample.Percent = map[string]int{methodA: percent, methodB: 5}
		o = w.Observe([]Sight{sight("x", one(3, 0)), other})
		if !strings.Contains(o.Away, want) || o.Killed != "the kill file is there: y" || o.Demoted != "y demoted /a.B/B" {
			t.Errorf("%+v", o)
		}
	}
	other.Sample.Percent = nil
	if o = w.Observe([]Sight{other}); o.Away != "y does not show /a.B/A" {
		t.Errorf("%+v", o)
	}
}
