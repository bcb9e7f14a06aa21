package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// upgrading is a service that upgrades its sidecar, or says why not.
func upgrading(refusal string) http.Handler {
	var upgraded atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hotpath/status", func(w http.ResponseWriter, _ *http.Request) {
		pid := "7"
		if upgraded.Load() {
			pid = "8"
		}
		_, _ = w.Write([]byte(`{"sidecars":[{"pid":` + pid + `}],"upgrade":{"running":false}}`))
	})
	mux.HandleFunc("POST /hotpath/upgrade", func(w http.ResponseWriter, r *http.Request) {
		if refusal != "" || r.Header.Get("X-Hotpath-Who") == "" {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"error":"` + refusal + `"}`))
			return
		}
		upgraded.Store(true)
		_, _ = w.Write([]byte("{}"))
	})
	return mux
}

func TestUpgradeAsksTheService(t *testing.T) {
	good, bad, gone := httptest.NewServer(upgrading("")), httptest.NewServer(upgrading("an upgrade is under way")), httptest.NewServer(nil)
	defer good.Close()
	defer bad.Close()
	gone.Close()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: upgrading("")}
	go func() { _ = local.Serve(listener) }()
	defer local.Close()
	for _, c := range []struct {
		admin string
		code  int
		want  string
	}{
		{good.URL, 0, "upgraded: process 8 in the place of 7\n"},
		{"unix:" + socket, 0, "upgraded: process 8 in the place of 7\n"},
		{bad.URL + "/hotpath/", exitGate, "not upgraded: an upgrade is under way"},
		{gone.URL, exitNotSeen, "refused"},
		{"unix:" + socket + ".not", exitNotSeen, "no such file"},
		{"127.0.0.1:1", exitUsage, "must be unix:PATH, or an address"},
		{"", exitUsage, "--admin is required"},
	} {
		out, code, err := call(t, "upgrade", "--admin", c.admin)
		if err != nil {
			out += err.Error()
		}
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s", c.admin, code, out)
		}
	}
}
