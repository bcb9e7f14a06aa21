package shimadmin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

// side is a shim that remembers what it was told.
type side struct {
	told []string
	err  error
}

func (s *side) Status() shim.Status {
	return shim.Status{
		SidecarStatus: shim.SidecarStatus{OpenBreakers: []string{"/a.B/D"}}, HeadPosition: 7, Killed: true, KilledBy: "ann",
		Modes:    map[string]shim.Mode{"/a.B/D": shim.Legacy, "/a.B/C": shim.Canary(5).Checked(10)},
		Set:      map[string]shim.Mode{"/a.B/D": shim.Sidecar, "/a.B/C": shim.Canary(5).Checked(10)},
		Upgrade:  shim.Upgrade{Running: true, Phase: "filling", By: "bob", Err: shim.ErrUpgradeCrashed},
		Compared: map[string]shim.Compared{"/a.B/C": {Equal: 3, Real: 1, Dropped: 2, Demoted: true}}, Sidecars: []shim.SidecarStatus{{Ready: true, SidecarPosition: 6}},
	}
}

func (s *side) tell(words ...string) error {
	s.told = append(s.told, strings.Join(words, " "))
	return s.err
}

func (s *side) SetMode(method string, mode shim.Mode, who string) error {
	return s.tell("mode", method, mode.String(), who)
}
func (s *side) Rollback(who string) error     { return s.tell("rollback", who) }
func (s *side) Resume(who string) error       { return s.tell("resume", who) }
func (s *side) Lift(method, who string) error { return s.tell("lift", method, who) }
func (s *side) Upgrade(ctx context.Context, who string) error {
	if ctx.Done() != nil {
		return errors.New("a client that leaves would stop it")
	}
	return s.tell("upgrade", who)
}

func quiet(cfg shimadmin.Config) shimadmin.Config {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// send returns the status code and the answer.
func send(handler http.Handler, method, path, body, who, host string) (int, string) {
	request := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	request.Host = host
	if who != "" {
		request.Header.Set(shimadmin.WhoHeader, who)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func TestChangesAreToldWithWhoAskedForThem(t *testing.T) {
	s := &side{}
	handler := shimadmin.New(s, quiet(shimadmin.Config{}))
	for _, c := range []struct{ path, body, want string }{
		{"mode", `{"method":"/a.B/C","mode":"canary 5%"}`, "mode /a.B/C canary 5% ann"},
		{"mode", `{"method":"default","mode":"shadow 100%"}`, "mode default shadow ann"},
		{"rollback", "", "rollback ann"}, {"resume", "{}", "resume ann"}, {"lift", `{"method":"/a.B/C"}`, "lift /a.B/C ann"}, {"upgrade", "", "upgrade ann"},
	} {
		s.told = nil
		code, answer := send(handler, http.MethodPost, shimadmin.Prefix+c.path, c.body, "ann", "127.0.0.1:1")
		if code != http.StatusOK || strings.TrimSpace(answer) != "{}" || strings.Join(s.told, "") != c.want {
			t.Errorf("%s %s: %d %s: %v", c.path, c.body, code, answer, s.told)
		}
	}
}

func TestWhatIsNotInOrderIsRefused(t *testing.T) {
	const post, get = http.MethodPost, http.MethodGet
	for _, c := range []struct {
		name, method, path, body, who, host string
		err                                 error
		readOnly                            bool
		code                                int
		want                                string
	}{
		{name: "nobody", method: post, path: "rollback", host: "localhost", code: 400, want: "X-Hotpath-Who must name"},
		{name: "a long name", method: post, path: "rollback", who: strings.Repeat("a", 65), host: "localhost", code: 400, want: "X-Hotpath-Who must name"},
		{name: "a name on two lines", method: post, path: "rollback", who: "a\tb", host: "localhost", code: 400, want: "X-Hotpath-Who must name"},
		{name: "another site", method: post, path: "rollback", who: "ann", host: "evil.example", code: 403, want: "is not known here"},
		{name: "another site reads", method: get, path: "status", host: "evil.example:7451", code: 403, want: "is not known here"},
		{name: "a read", method: get, path: "rollback", who: "ann", host: "localhost", code: 405},
		{name: "no page", method: get, path: "nothing", host: "[::1]:5", code: 404},
		{name: "no JSON", method: post, path: "mode", body: "mode=legacy", who: "ann", host: "localhost", code: 400, want: "must be a JSON object"},
		{name: "another key", method: post, path: "mode", body: `{"mod":"x"}`, who: "ann", host: "localhost", code: 400, want: "unknown field"},
		{name: "too long", method: post, path: "mode", body: `{"mode":"` + strings.Repeat("a", 1<<20) + `"}`, who: "ann", host: "localhost", code: 400, want: "too large"},
		{name: "no mode", method: post, path: "mode", body: `{"method":"/a.B/C","mode":"fast"}`, who: "ann", host: "localhost", code: 400, want: `fast\": must be`},
		{name: "not hot", method: post, path: "lift", body: `{"method":"/x"}`, who: "ann", host: "localhost", err: shim.ErrNotHot, code: 400, want: "is not one of the hot"},
		{name: "no file", method: post, path: "rollback", who: "ann", host: "localhost", err: shim.ErrNoKillFile, code: 409, want: "Config.KillFile"},
		{name: "not supervised", method: post, path: "upgrade", who: "ann", host: "localhost", err: shim.ErrNotSupervised, code: 409, want: "Supervise"},
		{name: "upgrading", method: post, path: "upgrade", who: "ann", host: "localhost", err: shim.ErrUpgrading, code: 409, want: "under way"},
		{name: "crashed", method: post, path: "upgrade", who: "ann", host: "localhost", err: shim.ErrUpgradeCrashed, code: 500, want: "the new sidecar ended"},
		{name: "not allowed", method: post, path: "rollback", who: "ann", host: "localhost", err: fs.ErrPermission, code: 403, want: "permission denied"},
		{name: "a full disk", method: post, path: "rollback", who: "ann", host: "localhost", err: errors.New("no space left"), code: 500, want: "no space left"},
		{name: "read-only", method: post, path: "rollback", who: "ann", host: "localhost", readOnly: true, code: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &side{err: c.err}
			handler := shimadmin.New(s, quiet(shimadmin.Config{ReadOnly: c.readOnly}))
			code, answer := send(handler, c.method, shimadmin.Prefix+c.path, c.body, c.who, c.host)
			if code != c.code || !strings.Contains(answer, c.want) {
				t.Errorf("%d %s", code, answer)
			}
			if c.err == nil && len(s.told) > 0 {
				t.Errorf("obeyed: %v", s.told)
			}
		})
	}
	// A name that the service knows is no other site's.
	if code, answer := send(shimadmin.New(&side{}, quiet(shimadmin.Config{Hosts: []string{"ops.internal"}})), get, shimadmin.Prefix+"status", "", "", "ops.internal:80"); code != 200 {
		t.Errorf("%d %s", code, answer)
	}
}

func TestTheStatusSaysWhatIsInForceAndWhatWasSet(t *testing.T) {
	handler := shimadmin.New(&side{}, quiet(shimadmin.Config{MetricsPath: "/metrics"}))
	code, answer := send(handler, http.MethodGet, shimadmin.Prefix+"status", "", "", "127.0.0.1")
	var s shimadmin.Status
	if err := json.Unmarshal([]byte(answer), &s); code != http.StatusOK || err != nil {
		t.Fatalf("%d %s: %v", code, answer, err)
	}
	if len(s.Methods) != 2 || s.Head != 7 || !s.Killed || s.KilledBy != "ann" || s.MetricsPath != "/metrics" || len(s.Sidecars) != 1 || !s.Sidecars[0].Asked ||
		!s.Upgrade.Running || s.Upgrade.Phase != "filling" || s.Upgrade.By != "bob" || s.Upgrade.Error != "the new sidecar ended" {
		t.Fatalf("%+v", s)
	}
	if m := s.Methods[0]; m.Name != "/a.B/C" || m.Mode != "canary 5% check 10%" || m.Forwarded != 5 || m.Checked != 10 || !m.Demoted ||
		m.Compared["equal"] != 3 || m.Compared["real"] != 1 || m.Dropped != 2 || m.BreakerOpen {
		t.Errorf("%+v", m)
	}
	if m := s.Methods[1]; m.Mode != "legacy" || m.Set != "sidecar" || !m.BreakerOpen {
		t.Errorf("%+v", m)
	}
	if code, answer := send(handler, http.MethodGet, shimadmin.Prefix, "", "", "127.0.0.1"); code != http.StatusOK || !strings.Contains(answer, "<!doctype html>") {
		t.Errorf("%d %s", code, answer)
	}
}

func TestThePageLoadsNothingAndHasNoWayToWriteMarkup(t *testing.T) {
	handler := shimadmin.New(&side{}, quiet(shimadmin.Config{}))
	_, page := send(handler, http.MethodGet, shimadmin.Prefix, "", "", "127.0.0.1")
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "http://", "https://", "eval("} {
		if strings.Contains(page, word) {
			t.Errorf("the page has %s", word)
		}
	}
	if code, icon := send(handler, http.MethodGet, shimadmin.Prefix+"icon.svg", "", "", "127.0.0.1"); code != http.StatusOK || !strings.HasPrefix(icon, "<svg ") {
		t.Errorf("%d %s", code, icon)
	}
}

func TestTheSocketIsTheUsersOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	listener, err := shimadmin.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	server := &http.Server{Handler: shimadmin.New(&side{}, quiet(shimadmin.Config{}))}
	go func() { _ = server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	response, err := client.Get("http://localhost" + shimadmin.Prefix + "status")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", response, err)
	}
	_ = response.Body.Close()
	if _, err := shimadmin.ListenUnix(path); !errors.Is(err, shimadmin.ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := shimadmin.ListenUnix(file); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
}
