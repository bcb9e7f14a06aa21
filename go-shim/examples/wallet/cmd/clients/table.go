package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"hotpath.dev/go-shim/examples/wallet/internal/doors"
)

// shown is how many differences of a client are told, and how much of each.
const shown, shownBytes = 5, 300

// table is the result: a row for each client and case. differences are what is worse behind a spliced door, and changes what
// is not the same but allowed.
type table struct {
	rows                 []string
	differences, changes []string
}

// add compares what a client saw: each spliced door with the stock one before it.
func (t *table) add(c client, seen []sight) {
	row := c.name + "\t" + c.what
	for i, s := range seen {
		verdict := ""
		if i%2 == 1 {
			verdict = ": the same"
			stock := seen[i-1]
			worse := lines(stock, s)
			if s.differ != nil {
				if len(worse) > 0 {
					verdict = ": not worse"
					t.changes = append(t.changes, tell(c, i, worse)...)
				}
				worse = s.differ(stock, s)
			}
			if len(worse) > 0 {
				verdict = ": DIFFERS"
				t.differences = append(t.differences, tell(c, i, worse)...)
			}
		}
		row += "\t" + s.short + verdict
	}
	t.rows = append(t.rows, row)
}

// lines lists the lines that differ.
func lines(stock, spliced sight) (all []string) {
	for i := range max(len(stock.lines), len(spliced.lines)) {
		line := func(s sight) string {
			if i < len(s.lines) {
				return s.lines[i]
			}
			return "nothing"
		}
		if want, got := line(stock), line(spliced); want != got {
			all = append(all, fmt.Sprintf("%d. stock: %.*s; spliced: %.*s", i+1, shownBytes, want, shownBytes, got))
		}
	}
	return all
}

func tell(c client, door int, all []string) (told []string) {
	for i, line := range all {
		if i == shown && c.name != "h2spec" {
			return append(told, fmt.Sprintf("  and %d more", len(all)-i))
		}
		told = append(told, fmt.Sprintf("  %s, %s, %s: %s", c.name, c.what, doors.Kinds[door], line))
	}
	return told
}

func (t *table) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "client\tcase")
	for _, kind := range doors.Kinds {
		fmt.Fprintf(w, "\t%s", kind)
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(t.rows, "\n"))
	_ = w.Flush()
	if len(t.changes) > 0 {
		fmt.Fprintf(&b, "\nNot the same, but no worse:\n%s\n", strings.Join(t.changes, "\n"))
	}
	if len(t.differences) > 0 {
		fmt.Fprintf(&b, "\nWorse behind a spliced door:\n%s\n", strings.Join(t.differences, "\n"))
	}
	return b.String()
}
