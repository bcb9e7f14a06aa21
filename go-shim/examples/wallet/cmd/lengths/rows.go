package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The names of the ways that are compared, in the order of the charts' legend.
const (
	rustIndex, goIndex   = "Rust, index", "Go, index"
	rustScan, goScan     = "Rust, scan", "Go, scan"
	goLegacy             = "Go, legacy"
	modelOfRustScan      = "scan"
	modelOfRustIndex     = "index"
	filesOfCriterion     = "benchmark.json"
	estimatesOfCriterion = "estimates.json"
)

func ways() []string { return []string{rustIndex, goIndex, rustScan, goScan, goLegacy} }

// key says what was asked of a history of how many entries.
type key struct {
	Read, Window string
	Entries      int
}

// row is one figure: the time of one read.
type row struct {
	key
	Way string
	// NS is the median, in nanoseconds. Low and High are the ends of criterion's 95% interval of it, or Go's fastest and
	// slowest sample.
	NS, Low, High float64
}

// errReplies means that two ways gave different replies.
var errReplies = errors.New("replies differ")

// replies are the hashes of replies by what was asked, and who gave each first.
type replies map[key]struct {
	hash, way string
}

func (r replies) add(k key, way, hash string) error {
	first, known := r[k]
	if !known {
		first.hash, first.way = hash, way
		r[k] = first
	}
	if first.hash != hash {
		return fmt.Errorf("%w: %s over %s of %d entries: %s gives %s, %s gives %s", errReplies, k.Read, k.Window, k.Entries,
			first.way, first.hash, way, hash)
	}
	return nil
}

// collect reads the figures of both benches, and checks that they are complete and that all replies are the same.
func collect(criterion, rustLog, goLog string) ([]row, error) {
	all := make(replies)
	if err := eachLine(rustLog, func(line string) error { return rustReply(line, all) }); err != nil {
		return nil, err
	}
	rows, err := ofCriterion(criterion)
	if err != nil {
		return nil, err
	}
	samples := make(map[row][]float64)
	if err := eachLine(goLog, func(line string) error { return goLine(line, all, samples) }); err != nil {
		return nil, err
	}
	for of, times := range samples {
		slices.Sort(times)
		of.NS, of.Low, of.High = times[len(times)/2], times[0], times[len(times)-1]
		rows = append(rows, of)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Read, b.Read), cmp.Compare(a.Entries, b.Entries),
			cmp.Compare(slices.Index(ways(), a.Way), slices.Index(ways(), b.Way)))
	})
	return rows, complete(rows, all)
}

// complete checks that each question was answered in every way.
func complete(rows []row, all replies) error {
	count := make(map[key]int)
	for _, one := range rows {
		count[one.key]++
	}
	if len(count) == 0 {
		return errors.New("the benches measured nothing")
	}
	for k, n := range count {
		if _, known := all[k]; n != len(ways()) || !known {
			return fmt.Errorf("%s over %s of %d entries was measured in %d of %d ways, and its reply is known: %v", k.Read, k.Window,
				k.Entries, n, len(ways()), known)
		}
	}
	return nil
}

func eachLine(path string, do func(line string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("output of a bench: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := do(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

var (
	rustLine  = regexp.MustCompile(`^reply ([a-z-]+)/([a-z]+)/(\d+) (\d+)$`)
	benchLine = regexp.MustCompile(
		`^BenchmarkByLength/read=([a-z-]+)/window=([a-z]+)/entries=(\d+)/model=(legacy|best-scan|best)(?:-\d+)?\s+\d+\s+(.*)$`)
	goWays = map[string]string{"legacy": goLegacy, "best-scan": goScan, "best": goIndex}
)

// rustReply reads the hash of a reply. The bench itself has checked that scan and index agree.
func rustReply(line string, all replies) error {
	match := rustLine.FindStringSubmatch(line)
	if match == nil {
		return nil
	}
	k, err := keyOf(match[1], match[2], match[3])
	if err != nil {
		return err
	}
	return all.add(k, "Rust", match[4])
}

func goLine(line string, all replies, samples map[row][]float64) error {
	match := benchLine.FindStringSubmatch(line)
	if match == nil {
		return nil
	}
	k, err := keyOf(match[1], match[2], match[3])
	if err != nil {
		return err
	}
	way := goWays[match[4]]
	figures := make(map[string]string)
	for fields := strings.Fields(match[5]); len(fields) >= 2; fields = fields[2:] {
		figures[fields[1]] = fields[0]
	}
	ns, err := strconv.ParseFloat(figures["ns/op"], 64)
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	if err := all.add(k, way, figures["fnv1a"]); err != nil {
		return err
	}
	of := row{key: k, Way: way}
	samples[of] = append(samples[of], ns)
	return nil
}

func keyOf(read, window, entries string) (key, error) {
	n, err := strconv.Atoi(entries)
	if err != nil {
		return key{}, fmt.Errorf("entries: %w", err)
	}
	return key{read, window, n}, nil
}

// ofCriterion reads what criterion wrote about each figure.
func ofCriterion(folder string) ([]row, error) {
	var rows []row
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != filesOfCriterion || filepath.Base(filepath.Dir(path)) != "new" {
			return err
		}
		one, err := criterionRow(path)
		if err == nil {
			rows = append(rows, one)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("criterion's figures: %w", err)
	}
	return rows, nil
}

func criterionRow(path string) (row, error) {
	var about struct {
		Group    string `json:"group_id"`
		Function string `json:"function_id"`
		Value    string `json:"value_str"`
	}
	if err := readJSON(path, &about); err != nil {
		return row{}, err
	}
	var estimates struct {
		Median struct {
			Point    float64 `json:"point_estimate"`
			Interval struct {
				Low  float64 `json:"lower_bound"`
				High float64 `json:"upper_bound"`
			} `json:"confidence_interval"`
		} `json:"median"`
	}
	if err := readJSON(filepath.Join(filepath.Dir(path), estimatesOfCriterion), &estimates); err != nil {
		return row{}, err
	}
	read, window, _ := strings.Cut(about.Group, "/")
	k, err := keyOf(read, window, about.Value)
	if err != nil {
		return row{}, fmt.Errorf("%s: %w", path, err)
	}
	way := map[string]string{modelOfRustScan: rustScan, modelOfRustIndex: rustIndex}[about.Function]
	median := estimates.Median
	if way == "" || median.Point <= 0 {
		return row{}, fmt.Errorf("%s: figure %q of %q is %v ns", path, about.Function, about.Group, median.Point)
	}
	return row{k, way, median.Point, median.Interval.Low, median.Interval.High}, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("criterion: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// report is everything that is written.
type report struct {
	Facts facts `json:"facts"`
	Rows  []row `json:"-"`
}

func (r report) csv(to io.Writer) error {
	_, err := fmt.Fprintln(to, "read,window,entries,way,median_ns,low_ns,high_ns")
	for _, one := range r.Rows {
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(to, "%s,%s,%d,%q,%.1f,%.1f,%.1f\n", one.Read, one.Window, one.Entries, one.Way, one.NS, one.Low, one.High)
	}
	return err
}

func (r report) json(to io.Writer) error {
	lines := json.NewEncoder(to)
	lines.SetIndent("", "  ")
	return lines.Encode(r)
}
