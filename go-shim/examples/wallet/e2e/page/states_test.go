package page

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/rollout"
	"hotpath.dev/go-shim/shimadmin"
)

// state is something that an operator may have to understand.
type state struct {
	name     string
	shim     *made
	headline string
	notes    []string
	cfg      shimadmin.Config
}

func demoted() *made {
	m := wallet(shim.Canary(25).Checked(10))
	one, other := service+"GetStatistics", service+"GetBalance"
	m.status.Modes[one] = shim.Shadow(100)
	m.status.Compared[one] = shim.Compared{Equal: 14_021, Metadata: 12, Moved: 4, Stale: 31, Real: 3, Dropped: 8124, Demoted: true}
	m.status.Compared[other] = shim.Compared{Equal: 123_456_789, Real: 1}
	for i, field := range []string{"percentiles[].amount", "median", "groups[].total.units", "by_kind{}", "first_at_us", "last_at_us", "asset"} {
		m.counter("hotpath_shim_differing_fields_total", float64(int(1234)>>(2*i)), 0, "method", one, "field", field)
	}
	m.counter("hotpath_shim_fallbacks_total", 4, 12, "method", other, "reason", "hop_timeout")
	m.counter("hotpath_shim_fallbacks_total", 4, 2, "method", service+"GetTimeSeries", "reason", "breaker_open")
	m.counter("hotpath_shim_comparisons_dropped_total", 4, 30, "method", one, "reason", "queue_full")
	for _, name := range []string{other, one} {
		m.counter("hotpath_shim_compared_total", 1, 20, "method", name, "class", "equal")
	}
	m.status.Sidecars[0].OpenBreakers = []string{service + "GetTimeSeries"}
	m.status.OpenBreakers = m.status.Sidecars[0].OpenBreakers
	m.status.Sidecars[1].Ready, m.status.Sidecars[1].SidecarPosition = false, 1_200_000
	return m
}

func killed() *made {
	m := wallet(shim.Legacy)
	m.status.Killed, m.status.KilledBy = true, "ann rolled back at "+time.Now().UTC().Add(-5*time.Minute).Format(time.RFC3339)
	for method := range m.status.Modes {
		m.status.Set[method] = shim.Canary(25).Checked(10)
	}
	return m
}

// alone has lost its sidecar, and another service with a method of the same name.
func alone() *made {
	m := wallet(shim.Legacy)
	for method := range m.status.Modes {
		m.status.Modes[method], m.status.Set[method] = shim.Sidecar, shim.Sidecar
		m.counter("hotpath_shim_fallbacks_total", 0, 90, "method", method, "reason", "not_ready")
	}
	m.status.Sidecars = []shim.SidecarStatus{{Socket: "/srv/wallet/a-folder-with-a-long-name/and-another-one-inside/hotpathd.sock", OpenBreakers: []string{"side"}}}
	m.status.Modes["/another.v1.Service/GetBalance"], m.status.Set["/another.v1.Service/GetBalance"] = shim.ReverseShadow(1), shim.ReverseShadow(1)
	return m
}

// walked writes the state of a plan in its third stage.
func walked(t *testing.T, change func(*rollout.State)) string {
	t.Helper()
	now := time.Now().UTC()
	r, err := rollout.Begin(rollout.Plan{
		Stages: []int{5, 25, 50, 90, 100}, Methods: []string{service + "GetBalance", service + "GetStatistics"}, Hold: 10 * time.Minute, MaxP99Ratio: 1.1,
		MaxFallbackShare: .01, MinCompared: 1000, Check: 10, OnFailure: rollout.Back, UnreachableFor: time.Minute, Gap: time.Minute,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	s := &r.State
	s.Stage, s.Held, s.Began, s.Seen = 1, 250*time.Second, now.Add(-250*time.Second), now.Add(time.Hour)
	s.Past = []rollout.Summary{{Percent: 5, Held: 10 * time.Minute, Compared: 1530, Ratio: "0.41", Forwarded: 15_000, Outcome: "passed"}}
	s.Counts = rollout.Tally{service + "GetBalance": {
		Compared: map[string]uint64{"equal": 812}, Requests: map[string]uint64{"sidecar": 8101}, Fallbacks: map[string]uint64{"busy": 3},
		Go: map[string]uint64{"0.002": 812, "+Inf": 812}, Sidecar: map[string]uint64{"0.001": 812, "+Inf": 812},
	}}
	s.History[0].At, s.History[0].Stage = s.Began, 1
	s.Reason = "5% has passed: held 10m0s, 1530 compared, 0 real, p99 ratio 0.41, 0 of 15000 fell back"
	change(s)
	content, err := json.Marshal(map[string]any{"version": rollout.FileVersion, "rollout": r})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// walkedBy writes the state of a plan whose reason is the given text.
func walkedBy(t *testing.T, reason string) string {
	t.Helper()
	return walked(t, func(s *rollout.State) { s.Reason = reason })
}

func states(t *testing.T) []state {
	running := walked(t, func(*rollout.State) {})
	back := walked(t, func(s *rollout.State) {
		s.Status, s.Cause, s.Reason = rollout.RolledBack, rollout.Mismatch, "3 real mismatches, at most 0: /wallet.v1.WalletService/GetStatistics 3"
		s.Past = append(s.Past, rollout.Summary{Percent: 25, Held: 250 * time.Second, Compared: 815, Real: 3, Ratio: "0.41", Forwarded: 8104, Fallbacks: 3, Outcome: "mismatch"})
		s.Counts = nil
	})
	unwatched := walked(t, func(s *rollout.State) { s.Seen = time.Now().Add(-time.Hour).UTC() })
	return []state{
		{"canary", wallet(shim.Canary(25).Checked(10)), "The sidecar answers 25% of each of the 5 methods, and Go the rest.", []string{"Nothing needs attention."}, shimadmin.Config{PlanState: running}},
		{"demoted", demoted(), "The sidecar answers 25% of each of 4 methods, and Go the rest. GetStatistics is demoted.",
			[]string{"GetStatistics is demoted", "GetBalance: 1 real difference since", "Sidecar 1 is not ready", "the breaker of GetTimeSeries is open", "The promotion plan is rolled back: 3 real"}, shimadmin.Config{PlanState: back}},
		{"killed", killed(), "Go answers everything: rolled back by ann at ", []string{"The rollback lasts", "nobody walks it"}, shimadmin.Config{PlanState: unwatched}},
		{"no-sidecar", alone(), "No sidecar is ready: Go answers everything.", []string{"No sidecar is connected", "the breaker of the whole side is open", "The promotion plan cannot be read"}, shimadmin.Config{PlanState: t.TempDir()}},
		{"read-only", wallet(shim.Shadow(100)), "Go answers everything: all methods are only compared.", []string{"Nothing needs attention."}, shimadmin.Config{ReadOnly: true}},
		{"sidecar", wallet(shim.Sidecar), "The sidecar answers everything.", []string{"Nothing needs attention."}, shimadmin.Config{}},
	}
}

// TestEveryStateCanBeRead looks at each state in both colours and in three widths.
func TestEveryStateCanBeRead(t *testing.T) {
	folder, all := pictures(t), states(t)
	if testing.Short() {
		all = all[:2]
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			b := open(t, s.shim.serve(t, s.cfg))
			b.says("#headline", s.headline)
			for _, note := range s.notes {
				b.says("#notes", note)
			}
			// A rate needs two polls.
			b.await("/^[0-9]/.test(document.querySelector('#tile-go').innerText)")
			for _, view := range []struct {
				width  int64
				scheme string
			}{{1200, "light"}, {1200, "dark"}, {800, "light"}, {390, "dark"}} {
				b.look(view.width, view.scheme)
				b.check(folder, strings.Join([]string{s.name, view.scheme, map[int64]string{1200: "1200", 800: "800", 390: "390"}[view.width]}, "-"))
			}
			b.quiet()
		})
	}
}
