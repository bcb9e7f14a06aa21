package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// page fetches a page from an admin listener. The status must be 200.
func page(t *testing.T, address, path string) []byte {
	t.Helper()
	status, body := get(t, address, path)
	if status != http.StatusOK {
		t.Fatalf("%s: %d: %s", path, status, body)
	}
	return body
}

func get(t *testing.T, address, path string) (int, []byte) {
	t.Helper()
	ctx, cancel := withTimeout()
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return reply.StatusCode, body
}

// flamegraph asks for flamegraphs until the sidecar used CPU during one. A busy machine may give it none for a second.
func flamegraph(t *testing.T, address string) []byte {
	t.Helper()
	for end := time.Now().Add(testTimeout); ; {
		status, body := get(t, address, "/debug/pprof/flamegraph?seconds=1")
		if status == http.StatusOK {
			return body
		}
		if !bytes.Contains(body, []byte("no CPU was used")) || time.Now().After(end) {
			t.Fatalf("%d: %s", status, body)
		}
	}
}

func TestTheSidecarsProfilesOpen(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach)
	s.caughtUp()
	l := s.busy("profiled", callers)
	l.more(100)

	profile := filepath.Join(p.dir, "cpu.pb.gz")
	if err := os.WriteFile(profile, page(t, sidecar.Admin, "/debug/pprof/profile?seconds=2"), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := exec.Command("go", "tool", "pprof", "-top", profile).CombinedOutput()
	if err != nil || !bytes.Contains(top, []byte("flat%")) {
		t.Errorf("go tool pprof: %v\n%s", err, top)
	}
	svg := flamegraph(t, sidecar.Admin)
	if !bytes.Contains(svg, []byte("<svg")) || !bytes.Contains(svg, []byte("</svg>")) {
		t.Errorf("no SVG: %.200s", svg)
	}
	l.end()
}

func TestAdminPagesOfBothProcesses(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach)
	s.post("t", "acc", 5)
	s.caughtUp()
	s.mustServe("acc")
	for _, address := range []string{sidecar.Admin, s.Admin} {
		for _, path := range []string{"/healthz", "/readyz"} {
			page(t, address, path)
		}
	}
	var memory struct {
		Allocated int64 `json:"allocated_bytes"`
		Resident  int64 `json:"resident_bytes"`
	}
	if text := page(t, sidecar.Admin, "/debug/memory"); json.Unmarshal(text, &memory) != nil ||
		memory.Allocated < 1<<10 || memory.Allocated > memory.Resident {
		t.Errorf("/debug/memory says %s", text)
	}
	metrics := scrape(t, sidecar.Admin)
	for name, want := range map[string]float64{
		"hotpathd_position": 1, "hotpathd_feed_head_position": 1, "hotpathd_feed_connected": 1, "hotpathd_ready": 1,
		"hotpathd_events_applied_total": 1,
	} {
		if got, ok := metrics.Sum(name, nil); !ok || got != want {
			t.Errorf("%s: %v (present: %v), not %v", name, got, ok, want)
		}
	}
	if got := metrics.Value("hotpathd_requests_total", nil); got == 0 {
		t.Error("hotpathd_requests_total counts nothing")
	}
	models := 0
	for name := range metrics {
		if strings.HasPrefix(name, "hotpathd_model_") {
			models++
		}
	}
	if models == 0 {
		t.Error("no hotpathd_model_ gauges")
	}
}

func TestAnEmptySidecarIsNotReady(t *testing.T) {
	t.Parallel()
	sidecar := newPlace(t).hotpathd()
	reply, err := http.Get("http://" + sidecar.Admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz before any feed: %s", reply.Status)
	}
	if answer := put(dial(t, sidecar.Listen), balanceOf("acc"), false, 0); answer.Decided() {
		t.Errorf("an answer from a sidecar without a ledger: %s", answer)
	}
}
