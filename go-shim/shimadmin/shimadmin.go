// Package shimadmin is a page on which operators see a shim, and change modes:
//
//	mux.Handle("/hotpath/", shimadmin.New(side, shimadmin.Config{MetricsPath: "/metrics"}))
//
// The same handler is an API:
//
//	GET  /hotpath/                 the page, and its icon.svg
//	GET  /hotpath/status           what it shows, as JSON: see Status
//	POST /hotpath/mode             {"method": "/a.B/C", "mode": "canary 5%"}: writes the modes file
//	POST /hotpath/rollback         makes the kill file
//	POST /hotpath/resume           removes it
//	POST /hotpath/lift             {"method": "/a.B/C"}: takes a demotion back
//	POST /hotpath/upgrade          upgrades the supervised sidecars, and answers when that is over
//	GET  /hotpath/read-model       what Go answers from, with Config.ReadModels: see ReadModel
//	POST /hotpath/read-model       {"model": "store", "force": false}: begins to switch, and answers as the GET does
//
// A POST needs the header X-Hotpath-Who, which names who asks, and answers {}, unless said otherwise, or {"error": "..."}.
//
// Whoever reaches the handler may do all of it: serve it on loopback or on a Unix socket only. Against web pages that a browser
// on the same machine shows, there are two rules. The Host of a request must be an IP address, localhost, or one of
// Config.Hosts, because a page can have its own name lead to the loopback address. And X-Hotpath-Who is a header that a page
// of another site may not send.
package shimadmin

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	shim "hotpath.dev/go-shim"
)

const (
	// Prefix is where the handler is to be mounted.
	Prefix = "/hotpath/"
	// WhoHeader names who asks for a change, in 1-64 printable characters.
	WhoHeader = "X-Hotpath-Who"

	// icon is what a browser shows beside the title. Without one it would ask the server's root for another.
	icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0072b2"/>` +
		`<path d="M5 3v10M11 3v10M5 8h6" stroke="#fff" stroke-width="2" fill="none"/></svg>`

	mostWho       = 64
	mostBodyBytes = 64 << 10
)

//go:embed page.html
var page []byte

// Config says what the handler may do.
type Config struct {
	// ReadOnly leaves out everything that changes something.
	ReadOnly bool
	// Hosts are further names by which the handler is reached, without a port.
	Hosts []string
	// MetricsPath is where the same server shows the shim's Prometheus metrics. The page reads rates and latencies there.
	// Without it, it shows none.
	MetricsPath string
	// PlanState is the path of the file in which `hotpathctl plan --state` remembers how far it is. The page then shows the plan.
	PlanState string
	// ReadModels, if set, lets operators change what Go answers from.
	ReadModels ReadModels
	// Logger hears of each change that was asked for; by default slog.Default().
	Logger *slog.Logger
}

// Side is what the handler needs of a *shim.Side.
type Side interface {
	Status() shim.Status
	SetMode(method string, mode shim.Mode, who string) error
	Rollback(who string) error
	Resume(who string) error
	Lift(method, who string) error
	Upgrade(ctx context.Context, who string) error
}

// New makes the handler.
func New(side Side, cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	h := &handler{side, cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"{$}", h.page)
	mux.HandleFunc("GET "+Prefix+"icon.svg", h.icon)
	mux.HandleFunc("GET "+Prefix+"status", h.status)
	if cfg.ReadModels != nil {
		mux.HandleFunc("GET "+Prefix+"read-model", h.readModel)
	}
	if cfg.ReadModels != nil && !cfg.ReadOnly {
		mux.HandleFunc("POST "+Prefix+"read-model", h.switchModel)
	}
	if !cfg.ReadOnly {
		mux.HandleFunc("POST "+Prefix+"mode", h.change(h.mode))
		mux.HandleFunc("POST "+Prefix+"rollback", h.change(func(_ order, who string) error { return side.Rollback(who) }))
		mux.HandleFunc("POST "+Prefix+"resume", h.change(func(_ order, who string) error { return side.Resume(who) }))
		mux.HandleFunc("POST "+Prefix+"lift", h.change(func(o order, who string) error { return side.Lift(o.Method, who) }))
		// Nobody stops an upgrade by leaving. It takes minutes, and connections may be cut meanwhile.
		mux.HandleFunc("POST "+Prefix+"upgrade", h.change(func(_ order, who string) error { return side.Upgrade(context.Background(), who) }))
	}
	return h.guarded(mux)
}

type handler struct {
	side Side
	cfg  Config
}

// guarded refuses names that somebody else may have given to this address.
func (h *handler) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.knows(r.Host) {
			refuse(w, http.StatusForbidden, fmt.Errorf("the host %q is not known here: use the address, or name it in shimadmin.Config.Hosts", r.Host))
			return
		}
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func (h *handler) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return host == "localhost" || net.ParseIP(host) != nil || slices.Contains(h.cfg.Hosts, host)
}

func (h *handler) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}

func (h *handler) icon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write([]byte(icon))
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, StatusOf(h.side.Status(), h.cfg))
}

// order is the body of a POST.
type order struct {
	Method string `json:"method"`
	Mode   string `json:"mode"`
}

func (h *handler) mode(o order, who string) error {
	mode, err := shim.ParseMode(o.Mode)
	if err != nil {
		return fmt.Errorf("mode %q: %w", o.Mode, err)
	}
	return h.side.SetMode(o.Method, mode, who)
}

// change makes a handler of something that changes something.
func (h *handler) change(do func(order, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var o order
		who, ok := orderOf(w, r, &o, "the strings method and mode")
		if !ok {
			return
		}
		err := do(o, who)
		h.cfg.Logger.Info("a change was asked for", "path", r.URL.Path, "method", o.Method, "mode", o.Mode, "by", who, "from", r.RemoteAddr, "error", err)
		if err != nil {
			refuse(w, codeOf(err), err)
			return
		}
		write(w, http.StatusOK, struct{}{})
	}
}

// orderOf reads who asks, and what for. If it cannot, it answers, and returns false. form tells what the body must have.
func orderOf(w http.ResponseWriter, r *http.Request, into any, form string) (who string, ok bool) {
	who = r.Header.Get(WhoHeader)
	if !named(who) {
		refuse(w, http.StatusBadRequest, fmt.Errorf("the header %s must name who asks, in 1-%d printable characters", WhoHeader, mostWho))
		return who, false
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBodyBytes))
	body.DisallowUnknownFields()
	if err := body.Decode(into); err != nil && r.ContentLength != 0 {
		refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be a JSON object with %s: %w", form, err))
		return who, false
	}
	return who, true
}

func named(who string) bool {
	return who != "" && len(who) <= mostWho && strings.IndexFunc(who, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func codeOf(err error) int {
	switch {
	case errors.Is(err, shim.ErrNotHot), errors.Is(err, shim.ErrNotAMode):
		return http.StatusBadRequest
	case errors.Is(err, shim.ErrNoModesFile), errors.Is(err, shim.ErrNoKillFile), errors.Is(err, shim.ErrNoFolder), errors.Is(err, shim.ErrNotSupervised),
		errors.Is(err, shim.ErrUpgrading), errors.Is(err, shim.ErrClosed):
		return http.StatusConflict
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	default:
		return http.StatusInternalServerError
	}
}

func refuse(w http.ResponseWriter, code int, err error) {
	write(w, code, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

// Status is what GET /hotpath/status answers.
type Status struct {
	Time time.Time `json:"time"`
	// Head is the newest position of the ledger.
	Head uint64 `json:"head"`
	// Killed is true while the kill file is there; KilledBy is what it says.
	Killed   bool   `json:"killed"`
	KilledBy string `json:"killed_by"`
	ReadOnly bool   `json:"read_only"`
	// MetricsPath is where the page finds the metrics; empty if nowhere.
	MetricsPath string    `json:"metrics_path"`
	Methods     []Method  `json:"methods"`
	Sidecars    []Sidecar `json:"sidecars"`
	Upgrade     Upgrade   `json:"upgrade"`
	// Plan is null without Config.PlanState.
	Plan *Plan `json:"plan"`
}

// Upgrade is about the upgrade that is under way, or else the last one. Without one, By is empty.
type Upgrade struct {
	Running bool `json:"running"`
	// Sidecar is the index of the one whose turn it is, Phase what it waits for: filling, settling or draining.
	Sidecar int       `json:"sidecar"`
	Phase   string    `json:"phase"`
	By      string    `json:"by"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	// Error says why it failed.
	Error string `json:"error"`
}

// Method is about one hot method.
type Method struct {
	Name string `json:"name"`
	// Mode is in force. Set is what it was set to.
	Mode string `json:"mode"`
	Set  string `json:"set"`
	// Forwarded is the percentage of keys that are forwarded, Checked that of requests that are compared.
	Forwarded int `json:"forwarded"`
	Checked   int `json:"checked"`
	// BreakerOpen is true if the breaker of the method is open at the sidecar that is asked.
	BreakerOpen bool `json:"breaker_open"`
	Demoted     bool `json:"demoted"`
	// Compared counts comparisons since the start, by class. Dropped were not compared.
	Compared map[string]uint64 `json:"compared"`
	Dropped  uint64            `json:"dropped"`
}

// Sidecar is about one sidecar.
type Sidecar struct {
	Asked        bool     `json:"asked"`
	Connected    bool     `json:"connected"`
	Ready        bool     `json:"ready"`
	OpenBreakers []string `json:"open_breakers"`
	Position     uint64   `json:"position"`
	// PID is 0 unless the shim runs it.
	PID int `json:"pid"`
	// CrashLooping is true while it is started again only slowly, because it kept ending.
	CrashLooping bool   `json:"crash_looping"`
	Socket       string `json:"socket"`
}

// StatusOf puts a shim's status into the form of the API. Methods are in the order of their names.
func StatusOf(s shim.Status, cfg Config) Status {
	status := Status{
		Time: time.Now().UTC(), Head: s.HeadPosition, Killed: s.Killed, KilledBy: s.KilledBy, ReadOnly: cfg.ReadOnly, MetricsPath: cfg.MetricsPath,
		Methods: []Method{}, Sidecars: []Sidecar{}, Upgrade: upgradeOf(s.Upgrade), Plan: planOf(cfg.PlanState),
	}
	for name, mode := range s.Modes {
		compared := s.Compared[name]
		status.Methods = append(status.Methods, Method{
			Name: name, Mode: mode.String(), Set: s.Set[name].String(), Forwarded: mode.Percent(), Checked: mode.Check(),
			BreakerOpen: slices.Contains(s.OpenBreakers, name), Demoted: compared.Demoted, Dropped: compared.Dropped,
			Compared: map[string]uint64{"equal": compared.Equal, "metadata": compared.Metadata, "moved": compared.Moved, "stale": compared.Stale,
				"real": compared.Real},
		})
	}
	slices.SortFunc(status.Methods, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	for i, c := range s.Sidecars {
		status.Sidecars = append(status.Sidecars, Sidecar{
			Asked: i == s.Asked, Connected: c.Connected, Ready: c.Ready, OpenBreakers: append([]string{}, c.OpenBreakers...),
			Position: c.SidecarPosition, PID: c.SidecarPID, Socket: c.Socket, CrashLooping: c.CrashLooping,
		})
	}
	return status
}

func upgradeOf(u shim.Upgrade) Upgrade {
	upgrade := Upgrade{Running: u.Running, Sidecar: u.Sidecar, Phase: u.Phase, By: u.By, Began: u.Began, Ended: u.Ended}
	if u.Err != nil {
		upgrade.Error = u.Err.Error()
	}
	return upgrade
}
