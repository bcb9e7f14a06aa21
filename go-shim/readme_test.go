package shim

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/metrics"
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
			// Further fields of a struct have their row in common with its first.
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
	descriptions := make(chan *prometheus.Desc, 100)
	metrics.New(nil, nil, metrics.Gauges{}).Describe(descriptions)
	close(descriptions)
	for description := range descriptions {
		_, rest, _ := strings.Cut(description.String(), `fqName: "`)
		if name, _, _ := strings.Cut(rest, `"`); !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("no metric %s", name)
		}
	}
}
