package rig

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
)

// Mode says who answers a hot method, as a modes file does: "canary 5%", say.
type Mode string

// These are two of them.
const (
	Legacy      Mode = "legacy"
	SidecarMode Mode = "sidecar"
)

// kind is the mode without its percentages.
func (m Mode) kind() Mode {
	kind, _, _ := strings.Cut(string(m), " ")
	return Mode(kind)
}

// WriteModes writes a modes file with this default. It renames the file into place, so that walletd never reads half of
// it.
func WriteModes(path string, mode Mode) error {
	text := fmt.Sprintf("# Who answers the hot reads: \"legacy\" (Go) or \"sidecar\" (Rust). Re-read on change.\n"+
		"default = %q\n", mode)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("modes file: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("modes file: %w", err)
	}
	return nil
}

// Shim holds what the shim in walletd reports. With two sidecars, Ready and Position are about the one that is asked, and
// what is counted is the sum.
type Shim struct {
	// Ready is true while the sidecar takes requests. AllReady is true while all of them could.
	Ready, AllReady bool
	// Asked is the index of the sidecar that is asked. TakeOvers counts its changes.
	Asked     int
	TakeOvers uint64
	// Position is the newest position that the sidecar has published. Head is the newest that walletd has committed.
	Position, Head uint64
	// Served counts answered hot requests by who answered them. Fallbacks count as Legacy.
	Served map[Mode]uint64
	// Fallbacks counts requests that were meant for the sidecar and answered by Go. Reasons counts them by reason.
	Fallbacks uint64
	Reasons   map[string]uint64
	Restarts  uint64
	// BreakersOpen is the number of circuit breakers that are not closed.
	BreakersOpen uint64
	// Modes is the mode of each method of ask.Hot, without percentages.
	Modes [len(ask.Hot)]Mode
	// Percent is the percentage of keys that the mode of a hot method forwards. Checked is that of requests that it compares.
	Percent, Checked [len(ask.Hot)]int
	// Compared counts requests whose answers were compared, by class. Uncompared counts those that were not, by reason.
	Compared, Uncompared map[string]uint64
	// Demoted counts methods that Go answers because of a real difference.
	Demoted uint64
	// Below is what the spliced front door did. It is zero behind the stock door.
	Below Below
}

// Below holds what happens below grpc-go.
type Below struct {
	// Answered counts hot requests that never reached grpc-go. HandedOver counts the others, by reason.
	Answered   uint64
	HandedOver map[string]uint64
	// Connections are open. Their callers have yet to take Unread bytes.
	Connections, Unread uint64
	// Ended counts connections that ended by a rule, by the rule.
	Ended map[string]uint64
}

// CaughtUp returns whether the sidecar serves and has all that was committed when this was read.
func (s Shim) CaughtUp() bool { return s.Ready && s.Position >= s.Head }

// Shim reads the metrics of the shim.
func (w *Walletd) Shim(ctx context.Context) (Shim, error) {
	page, err := probe.Scrape(ctx, w.Admin)
	if err != nil {
		return Shim{}, err
	}
	return ShimOf(page), nil
}

// Size returns the number of accounts and entries that walletd holds.
func (w *Walletd) Size(ctx context.Context) (accounts, entries uint64, err error) {
	page, err := probe.Scrape(ctx, w.Admin)
	if err != nil {
		return 0, 0, err
	}
	return uint64(page.Value("walletd_accounts", nil)), uint64(page.Value("walletd_entries", nil)), nil
}

// Refused returns how many reads of the database were RESOURCE_EXHAUSTED. There are none with another read model than
// store.
func (w *Walletd) Refused(ctx context.Context) (uint64, error) {
	page, err := probe.Scrape(ctx, w.Admin)
	return uint64(page.Value("walletd_store_reads_refused_total", nil)), err
}

// ShimOf returns what a page of walletd's metrics says about the shim.
func ShimOf(page probe.Page) Shim {
	served := func(mode Mode) uint64 {
		return uint64(page.Value("hotpath_shim_requests_total", probe.Labels{"served_by": string(mode)}))
	}
	asked, labels := askedOf(page)
	s := Shim{
		Ready:     page.Value("hotpath_shim_sidecar_ready", labels) == 1,
		AllReady:  page.Value("hotpath_shim_sidecar_ready", nil) == float64(len(page["hotpath_shim_sidecar_ready"].GetMetric())),
		Asked:     asked,
		TakeOvers: uint64(page.Value("hotpath_shim_takeovers_total", nil)),
		Position:  uint64(page.Value("hotpath_shim_sidecar_position", labels)),
		Head:      uint64(page.Value("hotpath_shim_head_position", nil)),
		Served:    map[Mode]uint64{Legacy: served(Legacy), SidecarMode: served(SidecarMode)},
		Fallbacks: uint64(page.Value("hotpath_shim_fallbacks_total", nil)),
		Reasons:   byLabel(page, "hotpath_shim_fallbacks_total", "reason"),
		Restarts:  uint64(page.Value("hotpath_shim_sidecar_restarts_total", nil)),

		Compared:   byLabel(page, "hotpath_shim_compared_total", "class"),
		Uncompared: byLabel(page, "hotpath_shim_comparisons_dropped_total", "reason"),
		Demoted:    uint64(page.Value("hotpath_shim_demoted", nil)),

		BreakersOpen: uint64(page.Value("hotpath_shim_breaker_open", nil)),
		Below: Below{
			Answered:    uint64(page.Value("hotpath_shim_spliced_answered_total", nil)),
			HandedOver:  byLabel(page, "hotpath_shim_spliced_handed_over_total", "reason"),
			Connections: uint64(page.Value("hotpath_shim_spliced_connections", nil)),
			Unread:      uint64(page.Value("hotpath_shim_spliced_unread_bytes", nil)),
			Ended:       byLabel(page, "hotpath_shim_spliced_connections_ended_total", "rule"),
		},
	}
	for i, method := range ask.Hot {
		s.Percent[i] = int(page.Value("hotpath_shim_forwarded_percent", probe.Labels{"method": method}))
		s.Checked[i] = int(page.Value("hotpath_shim_checked_percent", probe.Labels{"method": method}))
		s.Modes[i] = modeOf(page, method)
	}
	return s
}

func modeOf(page probe.Page, method string) Mode {
	for _, sample := range page["hotpath_shim_mode"].GetMetric() {
		labels := make(map[string]string)
		for _, pair := range sample.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		if labels["method"] == method && sample.GetGauge().GetValue() == 1 {
			return Mode(labels["mode"])
		}
	}
	return ""
}

// askedOf returns which sidecar is asked, and the labels of what is told about it. A single one has no labels.
func askedOf(page probe.Page) (int, probe.Labels) {
	for i := range 2 {
		labels := probe.Labels{"sidecar": strconv.Itoa(i)}
		if page.Value("hotpath_shim_sidecar_asked", labels) == 1 {
			return i, labels
		}
	}
	return 0, nil
}

// byLabel sums a counter by the values of one label, and leaves out zeros.
func byLabel(page probe.Page, family, label string) map[string]uint64 {
	sums := make(map[string]uint64)
	for _, sample := range page[family].GetMetric() {
		for _, pair := range sample.GetLabel() {
			if n := uint64(sample.GetCounter().GetValue()); pair.GetName() == label && n > 0 {
				sums[pair.GetValue()] += n
			}
		}
	}
	return sums
}

// AwaitShim polls the shim's metrics until good returns true. A page that can't be read counts as not good.
func (w *Walletd) AwaitShim(what string, atMost time.Duration, good func(Shim) bool) (Shim, error) {
	var last Shim
	err := w.Await(what, atMost, func() bool {
		now, err := w.Shim(context.Background())
		if err == nil {
			last = now
		}
		return err == nil && good(now)
	})
	if err != nil {
		return last, fmt.Errorf("shim at the end of the wait: %+v: %w", last, err)
	}
	return last, nil
}

// AwaitCaughtUp waits until the sidecar serves the newest position.
func (w *Walletd) AwaitCaughtUp(atMost time.Duration) (Shim, error) {
	return w.AwaitShim("the sidecar serves and has caught up", atMost, Shim.CaughtUp)
}

// Switch rewrites the modes file and waits until the shim shows a mode of this kind for all hot methods.
func (w *Walletd) Switch(mode Mode, atMost time.Duration) error {
	if err := WriteModes(w.spec.Modes, mode); err != nil {
		return err
	}
	_, err := w.AwaitShim("mode "+string(mode)+" for all methods", atMost, func(s Shim) bool {
		for _, now := range s.Modes {
			if now != mode.kind() {
				return false
			}
		}
		return true
	})
	return err
}
