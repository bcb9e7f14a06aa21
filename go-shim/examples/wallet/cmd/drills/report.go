package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// report is the content of report.json.
type report struct {
	Passed bool `json:"passed"`
	Short  bool `json:"short"`
	// Load is how many seconds of load each drill had.
	Load    float64   `json:"seconds_of_load"`
	Seconds float64   `json:"seconds"`
	Drills  []*result `json:"drills"`
}

func (r *report) judge() {
	r.Passed = len(r.Drills) > 0
	for _, one := range r.Drills {
		r.Passed = r.Passed && one.Passed
	}
}

const (
	reportJSON = "report.json"
	reportText = "report.txt"
)

func (r *report) write(folder string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for name, content := range map[string][]byte{reportJSON: append(encoded, '\n'), reportText: []byte(r.text())} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// text is the table, with what is wrong below it.
func (r *report) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "drill\tfront door\trequests\tfailed\twrong\tfell back\tdetected after\trecovered after\t\t")
	for _, one := range r.Drills {
		verdict := "passed"
		if !one.Passed {
			verdict = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t\n", one.Drill, one.Door, console.Count(one.Requests), one.Failed,
			one.wrongText(), console.Count(one.FellBack), after(one.DetectedMs), after(one.RecoveredMs), verdict)
	}
	_ = w.Flush()
	for _, one := range r.Drills {
		for _, note := range one.Notes {
			fmt.Fprintf(&b, "\n%s, %s: %s", one.Drill, one.Door, note)
		}
	}
	for _, one := range r.Drills {
		for _, why := range one.Why {
			fmt.Fprintf(&b, "\nFAILED %s, %s: %s", one.Drill, one.Door, why)
		}
	}
	fmt.Fprintf(&b, "\n\n%s\n", r.verdict())
	return b.String()
}

func (r *report) verdict() string {
	if r.Passed {
		return "PASSED"
	}
	return "FAILED"
}

// line says in a line how a drill went.
func (r *result) line() string {
	verdict := "passed"
	if !r.Passed {
		verdict = "FAILED"
	}
	return fmt.Sprintf("%s, %s: %s calls, %d failed, %d wrong; shown after %s, over after %s: %s", r.Drill, r.Door,
		console.Count(r.Requests+r.Posts), r.Failed, r.Wrong, after(r.DetectedMs), after(r.RecoveredMs), verdict)
}

func (r *result) wrongText() string {
	text := fmt.Sprint(r.Wrong)
	if r.Information && r.Wrong > 0 {
		text += " (not judged)"
	}
	return text
}

func after(ms int64) string {
	if ms == never {
		return "never"
	}
	return fmt.Sprintf("%.2f s", float64(ms)/1000)
}
