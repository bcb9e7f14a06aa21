package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/shimadmin"
)

// errReadyFile ends serve, because a program that waits for the ready file would otherwise wait forever.
var errReadyFile = errors.New("cannot write the ready file: check that its folder exists and is writable")

// admin is the HTTP server of the admin pages.
type admin struct {
	listener net.Listener
	server   *http.Server
	// mux has the pages, and userMux those for the socket that only the same user can open.
	mux, userMux *http.ServeMux
	// userServer serves that one; nil without --admin-socket.
	userServer *http.Server
}

func startAdmin(address string, t *telemetry) (*admin, error) {
	listener, err := listen("admin", address)
	if err != nil {
		return nil, err
	}
	a := &admin{listener: listener, mux: adminPages(t), userMux: http.NewServeMux()}
	a.userMux.Handle("/", a.mux)
	a.server = &http.Server{Handler: a.mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// metricsPath is where both listeners show the metrics.
const metricsPath = "/metrics"

// offer adds what there is only with a sidecar, and listens on the user's socket.
func (a *admin) offer(c serveConfig, side *shim.Side, models *readmodel.Switcher, log *slog.Logger) error {
	if c.sidecar.run != shim.Off {
		a.show(side, models, c.sidecar.planState, log)
	}
	if c.adminSocket == "" {
		return nil
	}
	return a.listenUnix(c.adminSocket)
}

// show adds the status page of the shim, and the choice of read models. Beyond loopback it changes nothing.
func (a *admin) show(side *shim.Side, models *readmodel.Switcher, planState string, log *slog.Logger) {
	local, _ := a.address().(*net.TCPAddr)
	cfg := shimadmin.Config{
		MetricsPath: metricsPath, ReadModels: readModels{models}, PlanState: planState, Logger: log, ReadOnly: local == nil || !local.IP.IsLoopback(),
	}
	a.mux.Handle(shimadmin.Prefix, shimadmin.New(side, cfg))
	cfg.ReadOnly = false
	a.userMux.Handle(shimadmin.Prefix, shimadmin.New(side, cfg))
}

// listenUnix serves the pages on a socket that only the same user can open.
func (a *admin) listenUnix(socket string) error {
	listener, err := shimadmin.ListenUnix(socket)
	if err != nil {
		return fmt.Errorf("--admin-socket: %w: %w", errListen, err)
	}
	a.userServer = &http.Server{Handler: a.userMux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = a.userServer.Serve(listener) }()
	return nil
}

func (a *admin) address() net.Addr { return a.listener.Addr() }

func (a *admin) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close()
	}
	if a.userServer != nil {
		_ = a.userServer.Close()
	}
}

func adminPages(t *telemetry) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !t.ready.Load() {
			http.Error(w, "the ledger is being loaded, or the service is stopping", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// writeReadyFile writes the ready file. It renames the finished file into place, so that nobody reads half of it.
func writeReadyFile(path string, grpcAddress, adminAddress net.Addr) error {
	content, err := json.Marshal(struct {
		PID    int    `json:"pid"`
		Listen string `json:"listen"`
		Admin  string `json:"admin"`
	}{os.Getpid(), grpcAddress.String(), adminAddress.String()})
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("%w: %w", errReadyFile, err)
	}
	_, err = temporary.Write(append(content, '\n'))
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errReadyFile, errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
