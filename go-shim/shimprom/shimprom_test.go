package shimprom_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hotpath.dev/go-shim/metrics"
	"hotpath.dev/go-shim/shimprom"
)

func TestWhatIsRegisteredIsShownUntilItIsNot(t *testing.T) {
	registry := prometheus.NewRegistry()
	meter := shimprom.New(registry)
	calls := metrics.Family{Name: "calls_total", Help: "Calls.", Labels: []string{"method", "by"}}
	meter.Counter(calls, "Get", "go").Inc()
	meter.Counter(calls, "Get", "go").Add(2)
	meter.Counter(calls, "Get", "rust").Inc()
	ready := metrics.Family{Name: "ready", Help: "Ready.", Labels: []string{"of"}}
	meter.Gauge(ready, func() float64 { return 1 }, "a")
	meter.Gauge(ready, func() float64 { return 0 }, "b")
	meter.Gauge(ready, func() float64 { return 3 }, "b")
	meter.Histogram(metrics.Family{Name: "took", Help: "Took."}, []float64{1, 2}).Observe(1.5)

	shown(t, registry, "")
	unregister, err := meter.Register()
	if err != nil {
		t.Fatal(err)
	}
	meter.Counter(calls, "Put", "go").Inc()
	meter.Counter(metrics.Family{Name: "late_total", Help: "Late."}).Inc()
	shown(t, registry, `calls_total{by="go",method="Get"} 3 calls_total{by="go",method="Put"} 1 calls_total{by="rust",method="Get"} 1 `+
		`late_total{} 1 ready{of="a"} 1 ready{of="b"} 3 took{} 1 of 1.5`)
	unregister()
	shown(t, registry, "")
}

func shown(t *testing.T, registry *prometheus.Registry, want string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			value := fmt.Sprint(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprint(h.GetSampleCount(), " of ", h.GetSampleSum())
			}
			all = append(all, family.GetName()+"{"+strings.Join(labels, ",")+"} "+value)
		}
	}
	if got := strings.Join(all, " "); got != want {
		t.Errorf("shown:\n%s\nwant:\n%s", got, want)
	}
}

func TestASecondOneOfTheSameNamesIsRefusedWhole(t *testing.T) {
	registry := prometheus.NewRegistry()
	first, second := shimprom.New(registry), shimprom.New(registry)
	shared := metrics.Family{Name: "shared_total", Help: "Shared."}
	first.Counter(shared).Inc()
	if _, err := first.Register(); err != nil {
		t.Fatal(err)
	}
	second.Counter(metrics.Family{Name: "own_total", Help: "Own."}).Inc()
	second.Counter(shared).Inc()
	if _, err := second.Register(); err == nil {
		t.Fatal("registered")
	}
	shown(t, registry, "shared_total{} 1")
}
