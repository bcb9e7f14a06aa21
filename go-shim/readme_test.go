package shim

import (
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/shadow"
	"hotpath.dev/go-shim/metrics"
	"hotpath.dev/go-shim/shimtest"
)

func TestReadmeNamesEveryField(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(content), "\n## Configuration\n")
	table, _, _ = strings.Cut(table, "\n### ")
	var check func(of reflect.Type, before string)
	check = func(of reflect.Type, before string) {
		for _, field := range reflect.VisibleFields(of) {
			switch name := before + field.Name; {
			case !field.IsExported() || field.Type == reflect.TypeFor[experiment.Config]():
			case field.Type.Kind() == reflect.Struct:
				check(field.Type, name+".")
			// Further fields of a struct may share a row with its first field.
			case !strings.Contains(table, "`"+name+"`") && !strings.Contains(table, ", `."+field.Name+"`"):
				t.Errorf("no field %s", name)
			}
		}
	}
	check(reflect.TypeFor[Config](), "")
}

func TestReadmeNamesEveryMetricAndReason(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(content)
	for _, reason := range reasonNames() {
		if !strings.Contains(readme, "| `"+reason+"` |") {
			t.Errorf("no reason %s", reason)
		}
	}
	guide, err := os.ReadFile("../docs/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(shadow.Drops(), shadow.Classes()...) {
		if !strings.Contains(string(guide), "| `"+name+"` |") {
			t.Errorf("docs/rollout.md has no row for %s", name)
		}
	}
	for _, name := range told(t) {
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("no metric %s", name)
		}
	}
}

// told returns the names of all metrics that a shim reports. Some are there only with two sidecars.
func told(t *testing.T) []string {
	t.Helper()
	meter := namesOf{families: make(map[string]bool)}
	side, err := Open(t.Context(), Config{Run: Attach, Socket: "s", Sidecars: 2, Methods: []string{testpb.TestService_UnaryCall_FullMethodName},
		Logger: slog.New(slog.DiscardHandler), Metrics: meter}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	if err := side.Close(); err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(meter.families))
	if len(names) < 10 {
		t.Fatalf("only %q", names)
	}
	return names
}

// namesOf is a Meter that keeps the names of its families.
type namesOf struct {
	metrics.Discard
	families map[string]bool
}

func (n namesOf) Counter(f metrics.Family, values ...string) metrics.Counter {
	n.families[f.Name] = true
	return n.Discard.Counter(f, values...)
}

func (n namesOf) Gauge(f metrics.Family, _ func() float64, _ ...string) { n.families[f.Name] = true }

func (n namesOf) Histogram(f metrics.Family, bounds []float64, values ...string) metrics.Histogram {
	n.families[f.Name] = true
	return n.Discard.Histogram(f, bounds, values...)
}
