package probe

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const prometheus = `# HELP hotpath_shim_requests_total Hot requests.
# TYPE hotpath_shim_requests_total counter
hotpath_shim_requests_total{method="/a",served_by="sidecar"} 3
hotpath_shim_requests_total{method="/b",served_by="sidecar"} 4
hotpath_shim_requests_total{method="/a",served_by="legacy"} 5
# TYPE hotpath_shim_sidecar_ready gauge
hotpath_shim_sidecar_ready 1
`

// openMetrics is what the Rust client library writes: counters whose family has no suffix, and an end mark.
const openMetrics = `# HELP hotpathd_requests Requests.
# TYPE hotpathd_requests counter
hotpathd_requests_total{method="GetBalance",code="OK"} 17
# HELP hotpathd_position Newest published position.
# TYPE hotpathd_position gauge
hotpathd_position 42
# EOF
`

func TestSumsByLabel(t *testing.T) {
	page, err := Parse(strings.NewReader(prometheus))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		labels Labels
		want   float64
		ok     bool
	}{
		{"hotpath_shim_requests_total", nil, 12, true},
		{"hotpath_shim_requests_total", Labels{"served_by": "sidecar"}, 7, true},
		{"hotpath_shim_requests_total", Labels{"served_by": "sidecar", "method": "/b"}, 4, true},
		{"hotpath_shim_requests_total", Labels{"served_by": "nobody"}, 0, false},
		{"hotpath_shim_sidecar_ready", nil, 1, true},
		{"absent", nil, 0, false},
	} {
		if got, ok := page.Sum(c.name, c.labels); got != c.want || ok != c.ok {
			t.Errorf("%s %v: got %v, %v", c.name, c.labels, got, ok)
		}
	}
}

func TestOpenMetricsAreRead(t *testing.T) {
	page, err := Parse(strings.NewReader(openMetrics))
	if err != nil {
		t.Fatal(err)
	}
	if got := page.Value("hotpathd_requests_total", Labels{"code": "OK"}); got != 17 {
		t.Errorf("counter: got %v", got)
	}
	if got := page.Value("hotpathd_position", nil); got != 42 {
		t.Errorf("gauge: got %v", got)
	}
}

func TestAPageThatIsNoMetricsIsAnError(t *testing.T) {
	if _, err := Parse(strings.NewReader("<html>not here</html>")); err == nil {
		t.Fatal("accepted")
	}
}

func TestScrapeReportsTheStatus(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(prometheus))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if _, err := Scrape(context.Background(), address); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(context.Background(), address, "/healthz"); !errors.Is(err, ErrStatus) {
		t.Fatalf("got %v", err)
	}
}
