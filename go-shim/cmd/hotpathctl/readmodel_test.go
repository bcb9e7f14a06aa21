package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

// fakeModels is a service with the models memory and disk. A switch to disk makes a step whenever it is looked at.
type fakeModels struct {
	mu       sync.Mutex
	inForce  string
	progress shimadmin.Progress
	// fails is why a switch fails in the end, and refusal why none begins.
	fails, refusal error
	stuck          bool
}

func (m *fakeModels) Names() []string               { return []string{"memory", "disk"} }
func (m *fakeModels) NeedsSidecar(name string) bool { return name == "disk" }
func (m *fakeModels) InForce() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inForce
}

func (m *fakeModels) Progress() shimadmin.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &m.progress
	if p.Switching && !m.stuck {
		if p.Done++; p.Done == p.Total {
			p.Switching, p.Err = false, m.fails
			if m.fails == nil {
				m.inForce = p.To
			}
		}
	}
	return *p
}

func (m *fakeModels) Switch(name, who string, _ func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refusal != nil {
		return m.refusal
	}
	if name != m.inForce {
		m.progress = shimadmin.Progress{Switching: true, To: name, By: who, Total: 5}
	}
	return nil
}

type fakeSide struct{ shimadmin.Side }

func (fakeSide) Status() shim.Status {
	return shim.Status{SidecarStatus: shim.SidecarStatus{Ready: true}, Modes: map[string]shim.Mode{"/a.B/C": shim.Sidecar}}
}

func admin(m *fakeModels) http.Handler {
	return shimadmin.New(fakeSide{}, shimadmin.Config{ReadModels: m, Logger: slog.New(slog.DiscardHandler)})
}

func TestAReadModelIsSwitchedAndShown(t *testing.T) {
	m := &fakeModels{inForce: "memory"}
	server := httptest.NewServer(admin(m))
	defer server.Close()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := shimadmin.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	bySocket := &http.Server{Handler: admin(m)}
	go func() { _ = bySocket.Serve(listener) }()
	defer bySocket.Close()
	for _, step := range []struct{ admin, model, want string }{
		{server.URL, "", "memory       in force\ndisk\n"},
		{server.URL, "disk", "disk is in force, "},
		{"unix:" + socket, "", "memory\ndisk         in force\n"},
		{"unix:" + socket, "disk", "disk is in force, "},
		{"unix:" + socket, "memory", "memory is in force, "},
		{server.URL + "/", "", "memory       in force\n"},
	} {
		args := []string{"read-model", "--admin", step.admin}
		if step.model != "" {
			args = append(args, step.model)
		}
		out, code, err := call(t, args...)
		if code != 0 || !strings.Contains(out, step.want) {
			t.Errorf("%v: exit %d, %v:\n%s", args, code, err, out)
		}
	}
}

func TestASwitchThatFailsHasAnExitCode(t *testing.T) {
	under := shimadmin.Progress{Switching: true, To: "disk", By: "ann", Total: 5}
	for _, c := range []struct {
		m    *fakeModels
		args []string
		code int
		want string
	}{
		{&fakeModels{fails: context.DeadlineExceeded}, []string{"disk"}, exitGate, "stays with memory: context deadline exceeded"},
		{&fakeModels{refusal: shimadmin.ErrAlone}, []string{"disk"}, exitGate, "refuses: the service could not stand in"},
		{&fakeModels{refusal: shimadmin.ErrSwitching, progress: under, stuck: true}, []string{"memory"}, exitGate, "another switch is under way"},
		{&fakeModels{}, []string{"tape"}, exitUsage, "choose from memory, disk"},
		{&fakeModels{stuck: true}, []string{"--within", "300ms", "disk"}, exitNotSeen, "the service goes on: disk is at 0% (0 of 5); ask for memory to give it up"},
	} {
		c.m.inForce = "memory"
		server := httptest.NewServer(admin(c.m))
		out, code, err := call(t, append([]string{"read-model", "--admin", server.URL}, c.args...)...)
		if code != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: exit %d, %v:\n%s", c.args, code, err, out)
		}
		server.Close()
	}
}

// TestASwitchThatSomebodyElseBeganIsAwaited is also about a hotpathctl that was ended while it waited.
func TestASwitchThatSomebodyElseBeganIsAwaited(t *testing.T) {
	m := &fakeModels{inForce: "memory", refusal: shimadmin.ErrSwitching, progress: shimadmin.Progress{Switching: true, To: "disk", By: "ann", Total: 5}}
	server := httptest.NewServer(admin(m))
	defer server.Close()
	if out, code, err := call(t, "read-model", "--admin", server.URL, "disk"); code != 0 || !strings.Contains(out, "ann has asked for disk already\ndisk is in force") {
		t.Errorf("exit %d, %v:\n%s", code, err, out)
	}
}

func TestMistakesOfReadModelAreNamed(t *testing.T) {
	without := httptest.NewServer(shimadmin.New(fakeSide{}, shimadmin.Config{}))
	defer without.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer other.Close()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "--admin is required"},
		{[]string{"--admin", "127.0.0.1:1"}, exitUsage, "must be unix:PATH, or an address"},
		{[]string{"--admin", "http://127.0.0.1:1/metrics"}, exitUsage, "must be unix:PATH, or an address"},
		{[]string{"--admin", "unix:"}, exitUsage, "needs the path"},
		{[]string{"--admin", "http://127.0.0.1:1", "--within", "0s"}, exitUsage, "--within"},
		{[]string{"--admin", "http://127.0.0.1:1", "disk", "memory"}, exitUsage, "unexpected argument"},
		{[]string{"--admin", "http://127.0.0.1:1", "disk"}, exitNotSeen, "cannot be asked"},
		{[]string{"--admin", "http://127.0.0.1:1"}, exitNotSeen, "connect"},
		{[]string{"--admin", without.URL}, exitNotSeen, "offers no choice"},
		{[]string{"--admin", without.URL, "disk"}, exitGate, "offers no choice"},
		{[]string{"--admin", other.URL}, exitNotSeen, "not that of a service with read models"},
	} {
		out, code, err := call(t, append([]string{"read-model"}, c.args...)...)
		if code != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: exit %d, %v:\n%s", c.args, code, err, out)
		}
	}
	if readModelPath != shimadmin.Prefix+"read-model" || whoHeader != shimadmin.WhoHeader {
		t.Error("this program and shimadmin speak of different paths or headers")
	}
}
