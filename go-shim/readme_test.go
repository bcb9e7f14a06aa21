package shim

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hotpath.dev/go-shim/metrics"
)

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
