package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMistakesOfAPlanNameTheFlagAndTheRule(t *testing.T) {
	f := newFleet(t, 1)
	url, state := f.replicas[0].server.URL, f.state()
	rest := "--modes " + f.replicas[0].modes + " --metrics " + url + " --state " + state
	for _, c := range []struct{ args, want string }{
		{"", "--state is required"},
		{"5,50", "--state is required"},
		{"--state " + state, "plan needs STAGES"},
		{"5 --state " + state, "--modes is required"},
		{"5 --state " + state + " --modes x", "--metrics is required"},
		{"5,x " + rest, `STAGES "5,x": must be whole numbers`},
		{"50,5 " + rest, "STAGES 5: must be above the stage before it"},
		{"5 " + rest + " --hold 200h", "--hold 200h0m0s: must be 0s to 168h"},
		{"5 " + rest + " --check 0 --min-compared 0", "--min-compared 0: must be 1 to 1000000000\n--check 0: must be 1 to 100"},
		{"5 " + rest + " --max-p99-ratio NaN", "--max-p99-ratio NaN: must be above 0"},
		{"5 " + rest + " --max-mismatch -1", "max-mismatch"},
		{"5 " + rest + " --on-failure panic", "--on-failure panic: must be back or stop"},
		{"5 " + rest + " --poll 1ms", "--poll 1ms: must be 100ms to 1m"},
		{"5 " + rest + " --unreachable-for 2h", "--unreachable-for 2h0m0s: must be 1s to 1h"},
		{"5 " + rest + " --metrics ftp://x", "--metrics ftp://x: must be an address"},
		{"5 " + rest + " --metrics " + url + "," + url, "is there twice"},
		{"5 " + rest + " --methods GetBalance", "--methods GetBalance: must be a full name"},
		{"5 " + rest + " --methods /a.B/Other", "--methods /a.B/Other: " + url + " does not show it"},
		{rest + " 5 6", `unexpected argument "6"`},
		{"5 6 " + rest, `unexpected argument "6"`},
		{"5 " + rest + " --what", "flag provided but not defined: -what"},
		{"--status --resume --state " + state, "--status only looks"},
		{"--resume --state " + state + " --hold 1m", "--hold: --status and --resume take no other settings than --state"},
		{"5 --status --state " + state, "STAGES: --status and --resume take no other settings"},
		{"5 --plan x --state " + state, "STAGES: the settings come from --plan, which takes no other"},
	} {
		out, code, err := f.plan(t.Context(), strings.Fields(c.args)...)
		if code != exitUsage || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: exit %d, %v: %s", c.args, code, err, out)
		}
	}
	f.says(f.replicas[0], "")
	if out, code, _ := call(t, "plan", "--help"); code != 0 || !strings.Contains(out, "--max-p99-ratio 1.1") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestMistakesOfAPlanFileNameTheFileAndTheRule(t *testing.T) {
	f := newFleet(t, 1)
	one := "[[replica]]\nmodes = \"m\"\nmetrics = \"http://x\"\n"
	for text, want := range map[string]string{
		"stages = [5]\n":                                 "replica 0: there must be 1 to 100",
		"stages = [5]\nhold = 5\n" + one:                 "hold",
		"stages = [5]\nhold = \"soon\"\n" + one:          `hold "soon": must be a time`,
		"stages = [5]\nmin-compared = -1\n" + one:        "min-compared -1: must not be negative",
		"stages = [5]\nholds = \"5m\"\n" + one:           "holds: is not a known key",
		"stages = [5, 5]\n" + one:                        "stages 5: must be above",
		"hold = \"1m\"\n" + one:                          "stages []: must be 1 to 20",
		"stages = [5]\n[[replica]]\nmetrics = \"http:\"": "metrics http:: must be an address",
		"stages = [5]\n[[replica]]\nmodes = \"\"":        "modes of : is required",
	} {
		path := file(t, text)
		_, code, err := f.plan(t.Context(), "--plan", path, "--state", f.state())
		if code != exitUsage || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: exit %d, %v", text, code, err)
		}
	}
	if _, code, err := f.plan(t.Context(), "--plan", f.folder+"/absent", "--state", f.state()); code != exitFile {
		t.Errorf("exit %d, %v", code, err)
	}
}

func TestFilesThatAreNotAsTheyShouldBe(t *testing.T) {
	f := newFleet(t, 1)
	for text, want := range map[string]string{
		"{": "unexpected end", "{}": "has version 0, not 1", `{"version": 1}`: "is not the state of a plan",
		`{"version":1,"replicas":[{}],"poll_ns":1000000000,"rollout":{}}`: "the state is damaged",
	} {
		if err := os.WriteFile(f.state(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{f.args(), {"--resume", "--state", f.state()}, {"--status", "--state", f.state()}} {
			if _, code, err := f.plan(t.Context(), args...); code != exitFile || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %v: exit %d, %v", text, args, code, err)
			}
		}
	}
	if err := os.Remove(f.state()); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"--resume", "--status"} {
		if _, code, err := f.plan(t.Context(), how, "--state", f.state()); code != exitFile || !strings.Contains(err.Error(), "there is no plan") {
			t.Errorf("%s: exit %d, %v", how, code, err)
		}
	}
	if _, code, err := f.plan(t.Context(), f.args("--modes", f.folder+"/absent")...); code != exitFile || !strings.Contains(err.Error(), "--modes: ") {
		t.Errorf("exit %d, %v", code, err)
	}
	unlock, err := lock(f.state())
	if err != nil {
		t.Fatal(err)
	}
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitUsage || !strings.Contains(err.Error(), "another hotpathctl walks this plan") {
		t.Errorf("exit %d, %v", code, err)
	}
	unlock()
	f.replicas[0].killed = true
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitGate || !strings.Contains(err.Error(), "does not begin: the kill file") {
		t.Errorf("exit %d, %v", code, err)
	}
	f.replicas[0].killed, f.replicas[0].demoted = false, balance
	if _, code, err := f.plan(t.Context(), f.args()...); code != exitGate || !strings.Contains(err.Error(), "demoted /a.B/Balance") {
		t.Errorf("exit %d, %v", code, err)
	}
	f.says(f.replicas[0], "")
}

// What the library of Prometheus writes is read as it was meant.
func TestMetricsAreReadAsPrometheusWritesThem(t *testing.T) {
	registry := prometheus.NewRegistry()
	odd := "/a.B/\"C\\D\n}"
	compared := prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricCompared, Help: "x\ny"}, []string{"method", "class"})
	compared.WithLabelValues(odd, "equal").Add(1.5e9)
	compared.WithLabelValues(odd, "real")
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: strings.TrimSuffix(metricSeconds, "_bucket"), Buckets: []float64{50e-6, 1}},
		[]string{"method", "by"})
	seconds.WithLabelValues(odd, "go").Observe(0.5)
	seconds.WithLabelValues(odd, "go").Observe(2)
	percent := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricForwarded}, []string{"method"})
	percent.WithLabelValues(odd).Set(25)
	demoted := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricDemoted}, []string{"method"})
	demoted.WithLabelValues(odd).Set(1)
	registry.MustRegister(compared, seconds, percent, demoted, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricKilled}, func() float64 { return 1 }))
	path := filepath.Join(t.TempDir(), "metrics")
	if err := prometheus.WriteToTextfile(path, registry); err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	defer service.Close()
	got, err := newPlanner(nil).fetch(t.Context(), service.URL)
	c := got.Tally[odd]
	if err != nil || c == nil || c.Compared["equal"] != 1.5e9 || len(c.Compared) != 2 || got.Percent[odd] != 25 || !got.Killed || len(got.Demoted) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if c.Go["5e-05"] != 0 || c.Go["1"] != 1 || c.Go["+Inf"] != 2 || len(c.Go) != 3 || len(c.Sidecar) != 0 {
		t.Errorf("%+v", c.Go)
	}
}

func TestPagesThatAreNoMetrics(t *testing.T) {
	for page, want := range map[string]string{
		"hotpath_shim_killed":                                           "there is no value",
		"hotpath_shim_killed x":                                         "the value is no number",
		"hotpath_shim_killed 1 2 3":                                     "at most a timestamp",
		"hotpath_shim_killed{a} 1":                                      "the labels have no end",
		"hotpath_shim_killed{a=1} 1":                                    "has no quotes",
		"hotpath_shim_killed{a=\"1} 1":                                  "has no end",
		"hotpath_shim_compared_total{method=\"m\",class=\"c\"} -1":      "a counter must be 0 to 2^53",
		"hotpath_shim_compared_total{method=\"m\",class=\"c\"} NaN":     "a counter must be 0 to 2^53",
		"hotpath_shim_compared_seconds_bucket{method=\"m\",le=\"x\"} 1": "le is no number",
		strings.Repeat("x", 1<<17):                                      "too long",
		strings.Repeat("x 1\n", 5<<20):                                  "longer than 16 MiB",
	} {
		if _, err := readSample(strings.NewReader(page)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v", page, err)
		}
	}
	for page, want := range map[string]int{
		"hotpath_shim_forwarded_percent{method=\"m\"} 5\nhotpath_shim_forwarded_percent{method=\"m\",shim=\"2\"} 5": 5,
		"hotpath_shim_forwarded_percent{method=\"m\"} 5\nhotpath_shim_forwarded_percent{method=\"m\",shim=\"2\"} 6": -1,
		"hotpath_shim_forwarded_percent{ method = \"m\" , } 5e0 1700000000":                                         5,
	} {
		if got, err := readSample(strings.NewReader(page)); err != nil || got.Percent["m"] != want {
			t.Errorf("%q: %v, %v", page, got, err)
		}
	}
	wrong := httptest.NewServer(http.NotFoundHandler())
	defer wrong.Close()
	if _, err := newPlanner(nil).fetch(t.Context(), wrong.URL); err == nil || !strings.Contains(err.Error(), "HTTP status 404") {
		t.Error(err)
	}
}

func TestStagesAreModes(t *testing.T) {
	for percent, want := range map[int]string{0: "shadow", 1: "canary 1% check 10%", 99: "canary 99% check 10%", 100: "reverse-shadow 10%"} {
		if got := stageMode(percent, 10); got != want {
			t.Errorf("%d: %s", percent, got)
		}
	}
	content, err := withModes([]byte("default = \"legacy\"\n"), []string{balance, history}, "canary 5%")
	if want := "default = \"legacy\"\n[methods]\n\"/a.B/Entries\" = \"canary 5%\"\n\"/a.B/Balance\" = \"canary 5%\"\n"; err != nil || string(content) != want {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := withModes(nil, []string{balance}, "fast"); err == nil || !strings.Contains(err.Error(), `mode "fast": must be`) {
		t.Error(err)
	}
}

func TestGoingBackLeavesAloneWhatGoAnswersAlready(t *testing.T) {
	f := newFleet(t, 1)
	path := filepath.Join(f.folder, "modes.toml")
	if err := os.WriteFile(path, []byte("default = \"sidecar\"\n[methods]\n\"/a.B/Balance\" = \"legacy\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPlanner(nil)
	p.edit = setModes
	w := &walker{planner: p, planState: &planState{Rollout: begun(t)}}
	if err := w.write(path, 0, true); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	signed, content, _ := bytes.Cut(content, []byte("\n"))
	if !bytes.HasSuffix(signed, []byte(": a plan puts 1 methods into shadow")) {
		t.Errorf("who did it is not said: %s", signed)
	}
	if want := "default = \"sidecar\"\n[methods]\n\"/a.B/Balance\" = \"legacy\"\n\"/a.B/Entries\" = \"shadow\"\n"; err != nil || string(content) != want {
		t.Errorf("%q, %v", content, err)
	}
}
