package monitoring

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// afterEvent are metrics without a series until something rare happens. Of these, go-shim/README.md is asked for name and
// labels. Of all others, the processes have to show a series that each selector takes.
func afterEvent() []string {
	return []string{"hotpath_shim_declined_total", "hotpath_shim_differing_fields_total"}
}

// selector is a metric in an expression, with its matchers. Only those for equality can be asked for.
type selector struct {
	name, matchers string
	labels         []string
}

// family is the name of the metric without what a histogram adds to it.
func (s selector) family() string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if name, ok := strings.CutSuffix(s.name, suffix); ok {
			return name
		}
	}
	return s.name
}

// selectors finds the metrics in an expression: what is no function, no keyword and no label.
func selectors(expression string) []selector {
	lists := regexp.MustCompile(`\b(by|without|on|ignoring|group_right|group_left)\s*\([^)]*\)`)
	tokens := regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\}|\()?|[0-9][0-9a-z.]*`)
	matcher := regexp.MustCompile(`([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*("[^"]*")`)
	var all []selector
	for _, token := range tokens.FindAllStringSubmatch(lists.ReplaceAllString(expression, " "), -1) {
		name, rest := token[1], token[2]
		if name == "" || rest == "(" || slices.Contains([]string{"and", "or", "unless", "offset", "bool"}, name) {
			continue
		}
		one := selector{name: name}
		var equal []string
		for _, part := range matcher.FindAllStringSubmatch(rest, -1) {
			one.labels = append(one.labels, part[1])
			if part[2] == "=" {
				equal = append(equal, part[1]+"="+part[3])
			}
		}
		one.matchers = "{" + strings.Join(equal, ",") + "}"
		all = append(all, one)
	}
	return all
}

func TestSelectorsAreFound(t *testing.T) {
	got := selectors(`sum without (by) (rate(a_bucket{by="x", c=~"y"}[10m])) > 1.2 * b_total offset 1h and on (job) c unless d{}`)
	want := []selector{{"a_bucket", `{by="x"}`, []string{"by", "c"}}, {"b_total", "{}", nil}, {"c", "{}", nil}, {"d", "{}", nil}}
	if !slices.EqualFunc(got, want, func(a, b selector) bool {
		return a.name == b.name && a.matchers == b.matchers && slices.Equal(a.labels, b.labels)
	}) {
		t.Errorf("found %q", got)
	}
	if got := want[0].family(); got != "a" {
		t.Errorf("family %s", got)
	}
}

// check evaluates an expression, and looks for each of its metrics.
func (p *prometheus) check(t *testing.T, where, expression string, documented map[string]string) {
	t.Helper()
	if _, err := p.query(expression); err != nil {
		t.Errorf("%s: %v\n%s", where, err, expression)
	}
	used := selectors(expression)
	if len(used) == 0 {
		t.Errorf("%s: no metric in %s", where, expression)
	}
	for _, s := range used {
		if slices.Contains(afterEvent(), s.family()) {
			checkDocumented(t, where, s, documented)
			continue
		}
		var series []map[string]string
		if err := p.ask("series", url.Values{"match[]": {s.name + s.matchers}}, &series); err != nil || len(series) == 0 {
			t.Errorf("%s: no process has %s%s (%v)", where, s.name, s.matchers, err)
			continue
		}
		for _, label := range s.labels {
			if !slices.ContainsFunc(series, func(one map[string]string) bool { return one[label] != "" }) {
				t.Errorf("%s: %s has no label %s", where, s.name, label)
			}
		}
	}
}

func checkDocumented(t *testing.T, where string, s selector, documented map[string]string) {
	t.Helper()
	row, ok := documented[s.family()]
	if !ok {
		t.Errorf("%s: go-shim/README.md knows no %s", where, s.family())
	}
	for _, label := range s.labels {
		if label != "job" && label != "instance" && !strings.Contains(row, "`"+label+"`") {
			t.Errorf("%s: %s has no label %s", where, s.name, label)
		}
	}
}

// documentedMetrics returns the rows of the metrics in go-shim/README.md by name.
func documentedMetrics(t *testing.T, readme string) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	name := regexp.MustCompile("`(hotpath_shim_[a-z_]+)`")
	for line := range strings.Lines(readme) {
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		if !ok || !strings.HasPrefix(line, "|") {
			continue
		}
		for _, found := range name.FindAllStringSubmatch(cell, -1) {
			rows[found[1]] = line
		}
	}
	if len(rows) < 30 {
		t.Fatalf("go-shim/README.md has only %q", slices.Sorted(maps.Keys(rows)))
	}
	return rows
}
