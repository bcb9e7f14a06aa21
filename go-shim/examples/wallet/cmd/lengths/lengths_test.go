package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benches writes what both benches would leave, for two lengths. broken changes the text of Go's output.
func benches(t *testing.T, broken func(string) string) (criterion, rustLog, goLog string) {
	t.Helper()
	dir := t.TempDir()
	criterion, rustLog, goLog = filepath.Join(dir, "criterion"), filepath.Join(dir, "rust.txt"), filepath.Join(dir, "go.txt")
	rust, golang := "   Compiling hotpath\n", "goos: linux\n"
	for _, window := range windows {
		for _, panel := range panels {
			for _, entries := range []int{10, 1000} {
				hash := uint32(entries * len(panel.read) * len(window.name))
				rust += fmt.Sprintf("reply %s/%s/%d %d\n", panel.read, window.name, entries, hash)
				for way, ns := range map[string]int{modelOfRustScan: 40 * entries, modelOfRustIndex: 900} {
					saveCriterion(t, criterion, panel.read, window.name, way, entries, ns)
				}
				for model, ns := range map[string]int{"legacy": 90, "best-scan": 30, "best": 20} {
					for sample := range 3 {
						golang += fmt.Sprintf(
							"BenchmarkByLength/read=%s/window=%s/entries=%d/model=%s-2  \t  90\t %d ns/op\t%d fnv1a\t 1 B/op\t 2 allocs/op\n",
							panel.read, window.name, entries, model, ns*entries+sample, hash)
					}
				}
			}
		}
	}
	save(t, rustLog, rust)
	save(t, goLog, broken(golang))
	return criterion, rustLog, goLog
}

func saveCriterion(t *testing.T, folder, read, window, way string, entries, ns int) {
	t.Helper()
	of := filepath.Join(folder, read+"_"+window, way, fmt.Sprint(entries), "new")
	if err := os.MkdirAll(of, 0o755); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(of, filesOfCriterion), fmt.Sprintf(
		`{"group_id":"%s/%s","function_id":"%s","value_str":"%d","throughput":null}`, read, window, way, entries))
	save(t, filepath.Join(of, estimatesOfCriterion), fmt.Sprintf(
		`{"mean":{"point_estimate":1},"median":{"confidence_interval":{"lower_bound":%d,"upper_bound":%d},"point_estimate":%d}}`,
		ns-1, ns+1, ns))
}

func save(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheFiguresOfBothBenchesAreCollected(t *testing.T) {
	criterion, rustLog, goLog := benches(t, func(text string) string { return text })
	rows, err := collect(criterion, rustLog, goLog)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(windows) * len(panels) * 2 * len(ways()); len(rows) != want {
		t.Fatalf("%d rows, not %d", len(rows), want)
	}
	for _, want := range []row{
		{key{"top", "years", 1000}, rustScan, 40_000, 39_999, 40_001}, {key{"as-of", "month", 10}, rustIndex, 900, 899, 901},
		{key{"statistics", "years", 1000}, goLegacy, 90_001, 90_000, 90_002}, {key{"series", "month", 10}, goIndex, 201, 200, 202},
	} {
		found := false
		for _, one := range rows {
			found = found || one == want
		}
		if !found {
			t.Errorf("no row is %+v", want)
		}
	}
	var csv strings.Builder
	if err := (report{Rows: rows}).csv(&csv); err != nil || !strings.Contains(csv.String(), "\ntop,years,1000,\"Rust, scan\",40000.0,39999.0,40001.0\n") {
		t.Errorf("%v\n%s", err, csv.String())
	}
	words := strings.Join(strings.Fields(table(rows)), " ")
	if !strings.Contains(words, "statistics years 1,000 900 ns 20 µs 40 µs 30 µs 90 µs top") {
		t.Errorf("table: %s", words)
	}
}

func TestOtherRepliesAndMissingFiguresAreRefused(t *testing.T) {
	criterion, rustLog, goLog := benches(t, func(text string) string {
		return strings.Replace(text, " fnv1a", "1 fnv1a", 1)
	})
	if _, err := collect(criterion, rustLog, goLog); !errors.Is(err, errReplies) {
		t.Errorf("another reply: %v", err)
	}
	criterion, rustLog, goLog = benches(t, func(text string) string {
		return strings.ReplaceAll(text, "read=top/window=years/entries=10/model=best-scan", "")
	})
	if _, err := collect(criterion, rustLog, goLog); err == nil || !strings.Contains(err.Error(), "top over years of 10 entries was measured in 4 of 5") {
		t.Errorf("a missing figure: %v", err)
	}
}

func TestAChartHasALineAndMarksForEachWay(t *testing.T) {
	criterion, rustLog, goLog := benches(t, func(text string) string { return text })
	rows, err := collect(criterion, rustLog, goLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range windows {
		svg := chart(of, rows)
		elements := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := elements.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("no XML: %v\n%s", err, svg)
			}
		}
		// Each way has a sample in the legend, and a line in each panel.
		if n := strings.Count(svg, `class="line`); n != len(ways())*(1+len(panels)) {
			t.Errorf("%d lines", n)
		}
		if n := strings.Count(svg, `class="mark`); n != len(ways())*(1+2*len(panels)) {
			t.Errorf("%d marks", n)
		}
		for _, part := range []string{"prefers-color-scheme: dark", of.title, "Rust, index, 1,000 entries: 900 ns", ">10 µs<"} {
			if !strings.Contains(svg, part) {
				t.Errorf("%q is missing", part)
			}
		}
	}
	if svg := chart(windows[0], nil); !strings.HasSuffix(svg, "</svg>\n") {
		t.Errorf("an empty chart: %s", svg)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--up-to", "9"}, {"--up-to", "1000001"}, {"--samples", "0"}, {"--samples", "21"}, {"more"}} {
		if _, err := configure(args, os.Getenv, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	c, err := configure([]string{"--up-to", "100"}, os.Getenv, io.Discard)
	if err != nil || c != (config{"target/lengths", 100, 3}) {
		t.Errorf("%+v %v", c, err)
	}
}
