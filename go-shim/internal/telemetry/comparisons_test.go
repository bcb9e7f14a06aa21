package telemetry

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hotpath.dev/go-shim/shimprom"
)

func TestFieldsThatDifferAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	meter := shimprom.New(registry)
	c := newComparisons(meter, Names{Classes: []string{"equal"}}, "/a.B/C", []float64{1})
	if _, err := meter.Register(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for n := range maxFields + 10 {
			c.Field(fmt.Sprint("field-", n))
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "hotpath_shim_differing_fields_total" {
			continue
		}
		if n := len(family.GetMetric()); n != maxFields+1 {
			t.Errorf("%d labels", n)
		}
		for _, metric := range family.GetMetric() {
			want := 2.0
			if metric.GetLabel()[0].GetValue() == otherFields {
				want = 20
			}
			if got := metric.GetCounter().GetValue(); got != want {
				t.Errorf("%v: %v, want %v", metric.GetLabel(), got, want)
			}
		}
		return
	}
	t.Error("no field is counted")
}
