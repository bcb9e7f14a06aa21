package page

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

const service = "/wallet.v1.WalletService/"

// made is a shim that is made up. Changes are remembered, and come about if they are about the kill file.
type made struct {
	mu     sync.Mutex
	status shim.Status
	// samples are lines of metrics: what a counter has at first, and by how much it grows each second.
	samples []sample
	began   time.Time
	told    []string
	// down has the server answer nothing but 503. err is the error of all changes.
	down bool
	err  error
}

// sample is one series.
type sample struct {
	name        string
	labels      []string // keys and values
	first, each float64
}

func (m *made) Status() shim.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

func (m *made) tell(words ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, strings.Join(words, " "))
	return m.err
}

func (m *made) SetMode(method string, mode shim.Mode, who string) error {
	return m.tell("mode", method, mode.String(), who)
}
func (m *made) Rollback(who string) error     { return m.tell("rollback", who) }
func (m *made) Resume(who string) error       { return m.tell("resume", who) }
func (m *made) Lift(method, who string) error { return m.tell("lift", method, who) }
func (m *made) Upgrade(_ context.Context, who string) error {
	return m.tell("upgrade", who)
}

func (m *made) asked() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.told, "; ")
}

func (m *made) set(change func(*made)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// metrics shows the samples as Prometheus' text.
func (m *made) metrics(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := time.Since(m.began).Seconds()
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	for _, s := range m.samples {
		labels := []string{}
		for i := 0; i < len(s.labels); i += 2 {
			labels = append(labels, s.labels[i]+`="`+escape.Replace(s.labels[i+1])+`"`)
		}
		fmt.Fprintf(w, "%s{%s} %d\n", s.name, strings.Join(labels, ","), int(s.first+s.each*passed))
	}
}

// serve serves the page of the shim and returns its address.
func (m *made) serve(t *testing.T, cfg shimadmin.Config) string {
	t.Helper()
	m.began = time.Now()
	cfg.Logger, cfg.MetricsPath = slog.New(slog.DiscardHandler), "/metrics"
	mux := http.NewServeMux()
	mux.Handle(shimadmin.Prefix, shimadmin.New(m, cfg))
	mux.HandleFunc("GET /metrics", m.metrics)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		down := m.down
		m.mu.Unlock()
		if down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + shimadmin.Prefix
}

// histogram adds a histogram with the given shares of each second's observations in its buckets.
func (m *made) histogram(name string, first, each float64, shares map[string]float64, labels ...string) {
	upTo := 0.0
	for _, bound := range []string{"5e-05", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "+Inf"} {
		upTo += shares[bound]
		m.samples = append(m.samples, sample{name + "_bucket", append([]string{"le", bound}, labels...), first * upTo, each * upTo})
	}
	m.samples = append(m.samples, sample{name + "_count", labels, first, each})
}

// counter adds a counter.
func (m *made) counter(name string, first, each float64, labels ...string) {
	m.samples = append(m.samples, sample{name, labels, first, each})
}

// fast and slow are two distributions.
func fast() map[string]float64 {
	return map[string]float64{"0.0001": .3, "0.0002": .5, "0.0005": .17, "0.002": .025, "0.01": .005}
}

func slow() map[string]float64 {
	return map[string]float64{"0.0005": .2, "0.001": .5, "0.002": .2, "0.01": .08, "0.05": .02}
}

// traffic adds what requests of a method leave in the metrics.
func (m *made) traffic(method string, bySidecar, byGo, compared float64) {
	m.counter("hotpath_shim_requests_total", 100*bySidecar, bySidecar, "method", method, "served_by", "sidecar")
	m.counter("hotpath_shim_requests_total", 100*byGo, byGo, "method", method, "served_by", "legacy")
	m.counter("hotpath_shim_fallbacks_total", 0, 0, "method", method, "reason", "busy")
	m.histogram("hotpath_shim_hop_seconds", 100*bySidecar, bySidecar, fast(), "method", method)
	m.histogram("hotpath_shim_compared_seconds", 100*compared, compared, slow(), "method", method, "by", "go")
	m.histogram("hotpath_shim_compared_seconds", 100*compared, compared, fast(), "method", method, "by", "sidecar")
}

// wallet is a shim with five methods, each in the given mode.
func wallet(mode shim.Mode) *made {
	m := &made{status: shim.Status{
		HeadPosition: 1_234_567, Modes: map[string]shim.Mode{}, Set: map[string]shim.Mode{}, Compared: map[string]shim.Compared{},
		Sidecars: []shim.SidecarStatus{
			{Connected: true, Ready: true, SidecarPosition: 1_234_564, SidecarPID: 4711, Socket: "/tmp/hotpath-run-1873/s.sock"},
			{Connected: true, Ready: true, SidecarPosition: 1_234_567, SidecarPID: 4712, Socket: "/tmp/hotpath-run-1873/s.sock.1"},
		},
	}}
	for i, name := range []string{"GetBalance", "BatchGetBalances", "GetStatistics", "GetTopCounterparties", "GetTimeSeries"} {
		method, n := service+name, float64(int(400)>>i)
		m.status.Modes[method], m.status.Set[method] = mode, mode
		m.status.Compared[method] = shim.Compared{Equal: uint64(140 * n), Stale: 3, Dropped: 7}
		share := float64(mode.Percent()) / 100
		m.traffic(method, share*n, (1-share)*n, float64(mode.Check())/100*n)
	}
	for _, i := range []string{"0", "1"} {
		m.counter("hotpath_shim_sidecar_restarts_total", 1, 0, "sidecar", i)
	}
	return m
}
