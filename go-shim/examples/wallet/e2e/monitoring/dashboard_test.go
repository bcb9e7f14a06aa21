package monitoring

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

type dashboard struct {
	UID           string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		Datasource  source
		Expr, RefID string
	}
}

type source struct{ Type, UID string }

type variable struct {
	Name, Type string
	Query      query
}

// query is a text for a variable with data sources, and an object with a text for one with values.
type query struct{ text string }

// UnmarshalJSON implements json.Unmarshaler.
func (q *query) UnmarshalJSON(encoded []byte) error {
	if json.Unmarshal(encoded, &q.text) == nil {
		return nil
	}
	var object struct{ Query string }
	err := json.Unmarshal(encoded, &object)
	q.text = object.Query
	return err
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, docs("dashboard.json"))), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filledIn puts values into an expression as Grafana does when all is chosen.
func filledIn(t *testing.T, expression string) string {
	t.Helper()
	filled := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", ".*", "$instance", ".*", "$method", ".*",
		"$sidecar", ".*").Replace(expression)
	if strings.Contains(filled, "$") {
		t.Errorf("an unknown variable: %s", expression)
	}
	return filled
}

func TestTheDashboardIsOneThatGrafana11Imports(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	// Grafana 11 writes version 39, and converts older ones.
	if d.SchemaVersion != 39 || d.UID == "" {
		t.Errorf("schema version %d, uid %q", d.SchemaVersion, d.UID)
	}
	var names []string
	for _, one := range d.Templating.List {
		names = append(names, one.Name)
	}
	if want := []string{"datasource", "job", "instance", "method", "sidecar"}; !slices.Equal(names, want) {
		t.Errorf("variables %q, not %q", names, want)
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	for i, one := range d.Panels {
		if ids[one.ID] || titles[one.Title] || one.Title == "" {
			t.Errorf("panel %d %q: another one has this id or title", one.ID, one.Title)
		}
		ids[one.ID], titles[one.Title] = true, true
		checkPanel(t, one)
		for _, other := range d.Panels[:i] {
			a, b := one.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q lies over %q", one.Title, other.Title)
			}
		}
	}
}

func checkPanel(t *testing.T, one panel) {
	t.Helper()
	if one.GridPos.W < 1 || one.GridPos.H < 1 || one.GridPos.X+one.GridPos.W > 24 {
		t.Errorf("%q lies at %+v", one.Title, one.GridPos)
	}
	if one.Type == "row" {
		return
	}
	if !strings.HasSuffix(one.Description, ".") || strings.Count(one.Description, ". ") != 0 {
		t.Errorf("%q is not described by one sentence: %s", one.Title, one.Description)
	}
	if one.FieldConfig.Defaults.Unit == "" || len(one.Targets) == 0 {
		t.Errorf("%q: unit %q, %d expressions", one.Title, one.FieldConfig.Defaults.Unit, len(one.Targets))
	}
	chosen := source{"prometheus", "${datasource}"}
	refs := map[string]bool{}
	for _, target := range one.Targets {
		if one.Datasource != chosen || target.Datasource != chosen || refs[target.RefID] {
			t.Errorf("%q %s: data source %v", one.Title, target.RefID, target.Datasource)
		}
		refs[target.RefID] = true
	}
}

// adminOf returns where the sidecar with this socket, which walletd supervises, serves its metrics.
func adminOf(t *testing.T, socket string) string {
	t.Helper()
	text, err := os.ReadFile(socket + ".ready")
	if err != nil {
		t.Fatal(err)
	}
	var at rig.Addresses
	if err := json.Unmarshal(text, &at); err != nil || at.Admin == "" {
		t.Fatalf("%s: %v", text, err)
	}
	return at.Admin
}
