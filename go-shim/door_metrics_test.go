package shim_test

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
)

// doorMetrics returns what the metrics say about the spliced door, without zeros.
func (r *rig) doorMetrics(t testing.TB) map[string]float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]float64{}
	for _, family := range families {
		name, ours := strings.CutPrefix(family.GetName(), "hotpath_shim_spliced_")
		for _, m := range family.GetMetric() {
			key := name
			for _, label := range m.GetLabel() {
				key += " " + label.GetValue()
			}
			if n := m.GetCounter().GetValue() + m.GetGauge().GetValue(); ours && n != 0 {
				told[key] = n
			}
		}
	}
	return told
}

// wantDoorMetrics waits for these metrics: a reply may arrive before it is counted.
func (r *rig) wantDoorMetrics(t testing.TB, want map[string]float64) {
	t.Helper()
	var last map[string]float64
	defer func() {
		if t.Failed() {
			t.Errorf("at the end the door told %v, want %v", last, want)
		}
	}()
	eventually(t, "the door tells what it did", func() bool {
		last = r.doorMetrics(t)
		return maps.Equal(last, want)
	})
}

func never(context.Context, string) error { return status.Error(codes.PermissionDenied, "no") }

func TestTheDoorTellsWhoAnsweredAndWhy(t *testing.T) {
	var n atomic.Int64
	for name, c := range map[string]struct {
		door  shim.FrontDoor
		setup setup
		pairs []string
		want  map[string]float64
	}{
		"on the connection": {door: shim.Spliced, want: map[string]float64{"door_open": 1, "answered_total": 3, "connections": 1}},
		"refused there": {door: shim.Spliced, want: map[string]float64{"door_open": 1, "answered_total": 3, "connections": 1},
			setup: setup{config: func(c *shim.Config) { c.Spliced.Authorize = never }}},
		"unknown metadata": {door: shim.Spliced, pairs: []string{"authorization", "secret"},
			want: map[string]float64{"door_open": 1, "handed_over_total metadata": 3, "connections": 1}},
		"mode legacy": {door: shim.Spliced, setup: setup{config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }},
			want: map[string]float64{"door_open": 1, "handed_over_total mode": 3, "connections": 1}},
		"no sidecar": {door: shim.Spliced, setup: setup{noFake: true},
			want: map[string]float64{"door_open": 1, "handed_over_total not_ready": 3, "connections": 1}},
		"a fallback": {door: shim.Spliced, setup: setup{config: func(c *shim.Config) { c.Forwardable = stayLocal }},
			want: map[string]float64{"door_open": 1, "handed_over_total fallback": 3, "connections": 1}},
		"interceptors": {door: shim.Spliced, setup: setup{config: shutAtFirst, server: []grpc.ServerOption{heard(&n)}},
			want: map[string]float64{"handed_over_total shut": 3, "connections": 1}},
		"the stock door": {door: shim.Stock, want: map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := doorRig(t, c.door, c.setup)
			ctx := outgoing(t.Context(), c.pairs...)
			for range 3 {
				if _, err := r.client.UnaryCall(ctx, requestOf("a")); err != nil && status.Code(err) != codes.PermissionDenied {
					t.Fatal(err)
				}
			}
			r.wantDoorMetrics(t, c.want)
			if err := r.conn.Close(); err != nil {
				t.Fatal(err)
			}
			delete(c.want, "connections")
			r.wantDoorMetrics(t, c.want)
		})
	}
}
