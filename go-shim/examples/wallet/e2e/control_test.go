package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/shimadmin"
)

// TestModesAreChangedByTheAdminAPI goes through both of walletd's admin listeners.
func TestModesAreChangedByTheAdminAPI(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	kill, socket := filepath.Join(p.dir, "kill"), filepath.Join(p.dir, "admin.sock")
	s := p.walletd(rig.Supervise, "--kill-file", kill, "--admin-socket", socket)
	s.caughtUp()
	bySocket := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", socket)
	}}}
	post := func(client *http.Client, host, path, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+shimadmin.Prefix+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(shimadmin.WhoHeader, "ann")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s", path, body, response.Status)
		}
	}
	post(http.DefaultClient, s.Admin, "mode", `{"method":"default","mode":"canary 30%"}`)
	s.await("the canary", func(now rig.Shim) bool { return now.Percent[0] == 30 })
	post(bySocket, "localhost", "rollback", "")
	if now := s.shim(); now.Percent != [len(now.Percent)]int{} {
		t.Errorf("after the answer some methods were still forwarded: %v", now.Percent)
	}
	response, err := bySocket.Get("http://localhost" + shimadmin.Prefix + "status")
	if err != nil {
		t.Fatal(err)
	}
	var status shimadmin.Status
	err = json.NewDecoder(response.Body).Decode(&status)
	_ = response.Body.Close()
	if err != nil || !status.Killed || !strings.HasPrefix(status.KilledBy, "ann rolled back") || status.Methods[0].Set != "canary 30%" || status.ReadOnly {
		t.Errorf("%+v, %v", status, err)
	}
	post(bySocket, "localhost", "resume", "")
	s.await("the canary again", func(now rig.Shim) bool { return now.Percent[0] == 30 })
	log, err := os.ReadFile(s.Log())
	for _, want := range []string{"# changed by ann at", "before=sidecar after=\"canary 30%\"", "by=\"kill file"} {
		if want = strings.TrimPrefix(want, "# changed by "); err != nil || !strings.Contains(string(log), want) {
			t.Errorf("the log does not say %s (%v)", want, err)
		}
	}
	if modes, err := os.ReadFile(p.modes); err != nil || !strings.HasPrefix(string(modes), "# changed by ann at ") {
		t.Errorf("%v: %s", err, modes)
	}
}

// TestModesOfTheEnvironmentCountUntilTheFileSaysMore starts with what HOTPATH_MODES says.
func TestModesOfTheEnvironmentCountUntilTheFileSaysMore(t *testing.T) {
	t.Setenv("HOTPATH_MODES", "default=canary 10%")
	p := newPlace(t)
	if err := os.WriteFile(p.modes, []byte(fmt.Sprintf("[methods]\n%q = \"legacy\"\n", "/wallet.v1.WalletService/GetStatistics")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := p.walletd(rig.Supervise)
	s.await("the environment's modes", func(now rig.Shim) bool { return now.Percent[0] == 10 })
	if err := s.Switch(rig.SidecarMode, testTimeout); err != nil {
		t.Fatal(err)
	}
}
