package shimadmin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

// models is a service with two read models.
type models struct {
	told     []string
	err      error
	progress shimadmin.Progress
	allowed  func() error
}

func (m *models) Names() []string               { return []string{"memory", "disk"} }
func (m *models) InForce() string               { return "memory" }
func (m *models) NeedsSidecar(name string) bool { return name == "disk" }
func (m *models) Progress() shimadmin.Progress  { return m.progress }
func (m *models) Switch(name, who string, allowed func() error) error {
	m.told, m.allowed = append(m.told, name+" "+who), allowed
	return m.err
}

// carrier is a shim with this status.
type carrier struct {
	side
	status shim.Status
}

func (c *carrier) Status() shim.Status { return c.status }

func ready() shim.Status {
	all := shim.SidecarStatus{Connected: true, Ready: true}
	return shim.Status{SidecarStatus: all, Sidecars: []shim.SidecarStatus{all}, Modes: map[string]shim.Mode{"/a.B/C": shim.Sidecar, "/a.B/D": shim.Canary(100)}}
}

const modelPath = shimadmin.Prefix + "read-model"

func TestAnotherReadModelIsAskedFor(t *testing.T) {
	m := &models{progress: shimadmin.Progress{Switching: true, To: "disk", By: "ann", Done: 3, Total: 7, Err: errors.New("no")}}
	handler := shimadmin.New(&carrier{status: ready()}, quiet(shimadmin.Config{ReadModels: m}))
	want := shimadmin.ReadModel{Models: m.Names(), InForce: "memory", Switching: true, To: "disk", By: "ann", Done: 3, Total: 7, Error: "no"}
	for _, call := range [][]string{{http.MethodGet, "", ""}, {http.MethodPost, `{"model":"disk"}`, "ann"}} {
		var got shimadmin.ReadModel
		code, answer := send(handler, call[0], modelPath, call[1], call[2], "localhost")
		if err := json.Unmarshal([]byte(answer), &got); err != nil || code != http.StatusOK || strings.Join(got.Models, " ") != "memory disk" {
			t.Fatalf("%s: %d %s", call[0], code, answer)
		}
		got.Models, want.Models = nil, nil
		if g, w := encode(t, got), encode(t, want); g != w {
			t.Errorf("%s: %s, not %s", call[0], g, w)
		}
	}
	if strings.Join(m.told, ",") != "disk ann" || m.allowed() != nil {
		t.Errorf("told %q", m.told)
	}
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGoIsNotLeftWithAModelThatCannotStandIn goes through the reasons why the sidecar does not carry everything.
func TestGoIsNotLeftWithAModelThatCannotStandIn(t *testing.T) {
	for want, change := range map[string]func(*shim.Status){
		"the kill file is there":                         func(s *shim.Status) { s.Killed = true },
		"no sidecar is ready":                            func(s *shim.Status) { s.Ready = false },
		"breakers are open: side":                        func(s *shim.Status) { s.OpenBreakers = []string{"side"} },
		"not forwarded at 100%: /a.B/C (canary 99%)":     func(s *shim.Status) { s.Modes["/a.B/C"] = shim.Canary(99) },
		"not forwarded at 100%: /a.B/C (shadow), /a.B/D": func(s *shim.Status) { s.Modes["/a.B/C"], s.Modes["/a.B/D"] = shim.Shadow(100), shim.Legacy },
		"demoted: /a.B/C": func(s *shim.Status) {
			s.Modes["/a.B/C"], s.Compared = shim.Shadow(100), map[string]shim.Compared{"/a.B/C": {Demoted: true}}
		},
	} {
		m, c := &models{}, &carrier{status: ready()}
		change(&c.status)
		handler := shimadmin.New(c, quiet(shimadmin.Config{ReadModels: m}))
		code, answer := send(handler, http.MethodPost, modelPath, `{"model":"disk"}`, "ann", "localhost")
		if code != http.StatusConflict || !strings.Contains(answer, want) || !strings.Contains(answer, `"in_force":"memory"`) || len(m.told) > 0 {
			t.Errorf("%s: %d %s; told %q", want, code, answer, m.told)
		}
		for _, body := range []string{`{"model":"disk","force":true}`, `{"model":"memory"}`} {
			if code, answer := send(handler, http.MethodPost, modelPath, body, "ann", "localhost"); code != http.StatusOK || m.allowed() != nil {
				t.Errorf("%s, %s: %d %s", want, body, code, answer)
			}
		}
		c.status = ready()
		if code, _ := send(handler, http.MethodPost, modelPath, `{"model":"disk"}`, "ann", "localhost"); code != http.StatusOK {
			t.Errorf("%s: %d once it is well", want, code)
		}
		// It is asked again before the model changes.
		if change(&c.status); !errors.Is(m.allowed(), shimadmin.ErrAlone) {
			t.Errorf("%s: allowed in the end", want)
		}
	}
}

func TestReadModelsThatCannotBeHad(t *testing.T) {
	for _, c := range []struct {
		body, who, host string
		err             error
		cfg             shimadmin.Config
		code            int
		want            string
	}{
		{body: `{"model":"tape"}`, who: "ann", code: 400, want: "choose from memory, disk"},
		{body: `{"mode":"disk"}`, who: "ann", code: 400, want: "the string model, and perhaps the boolean force"},
		{body: `{"model":"disk"}`, code: 400, want: "X-Hotpath-Who must name"},
		{body: `{"model":"disk"}`, who: "ann", host: "evil.example", code: 403, want: "is not known here"},
		{body: `{"model":"disk"}`, who: "ann", err: shimadmin.ErrSwitching, code: 409, want: "another switch is under way"},
		{body: `{"model":"disk"}`, who: "ann", err: shimadmin.ErrNotNow, code: 409, want: "cannot switch now"},
		{body: `{"model":"disk"}`, who: "ann", err: errors.New("no disk"), code: 500, want: "no disk"},
		{body: `{"model":"disk"}`, who: "ann", cfg: shimadmin.Config{ReadOnly: true}, code: 405},
	} {
		m := &models{err: c.err}
		c.cfg.ReadModels = m
		if c.host == "" {
			c.host = "127.0.0.1"
		}
		code, answer := send(shimadmin.New(&carrier{status: ready()}, quiet(c.cfg)), http.MethodPost, modelPath, c.body, c.who, c.host)
		if code != c.code || !strings.Contains(answer, c.want) {
			t.Errorf("%+v: %d %s", c, code, answer)
		}
		if c.err == nil && len(m.told) > 0 {
			t.Errorf("%+v: obeyed", c)
		}
	}
	if code, _ := send(shimadmin.New(&carrier{}, quiet(shimadmin.Config{})), http.MethodGet, modelPath, "", "", "localhost"); code != http.StatusNotFound {
		t.Errorf("without read models: %d", code)
	}
}
