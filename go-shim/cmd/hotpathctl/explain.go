package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"hotpath.dev/go-shim/internal/evidence"
)

const (
	// columnWidth is how wide each side is.
	columnWidth = 56
	// mostLines bounds what is laid side by side. The list of differences has to do for longer replies.
	mostLines = 2000
	// contextLines are equal lines around those that differ.
	contextLines = 3
)

// explain prints a capture, or what a folder holds.
func (c *command) explain(context.Context) error {
	if len(c.args) != 1 {
		return mistake("explain needs a capture, or the folder of captures")
	}
	path := c.args[0]
	info, err := os.Stat(path)
	if err != nil {
		return failure{exitFile, err}
	}
	if info.IsDir() {
		return c.list(path)
	}
	capture, err := evidence.Read(path)
	if err != nil {
		return failure{exitFile, err}
	}
	c.print(capture)
	return nil
}

func (c *command) list(folder string) error {
	captures, err := evidence.List(folder)
	if err != nil {
		return failure{exitFile, err}
	}
	marks, err := evidence.ListDemotions(folder)
	if err != nil {
		return failure{exitFile, err}
	}
	if len(captures)+len(marks) == 0 {
		fmt.Fprintf(c.out, "%s holds no evidence: no real difference was found\n", folder)
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, path := range captures {
		capture, err := evidence.Read(path)
		if err != nil {
			fmt.Fprintln(table, err)
			continue
		}
		fields := make([]string, 0, len(capture.Differences))
		for _, d := range capture.Differences {
			if len(fields) == 0 || fields[len(fields)-1] != d.Field {
				fields = append(fields, d.Field)
			}
		}
		fmt.Fprintf(table, "%s\t%s\tposition %d\t%s\n", path, capture.Method, capture.Position, shorten(strings.Join(fields, ", "), columnWidth))
	}
	_ = table.Flush()
	for _, path := range marks {
		d, err := evidence.ReadDemotion(path)
		if err != nil {
			// Any file of this name counts.
			d.Method = path
		}
		fmt.Fprintf(c.out, "demoted: %s, since %s\n", d.Method, d.Time.UTC().Format(time.RFC3339))
	}
	return nil
}

func (c *command) print(capture *evidence.Capture) {
	fmt.Fprintf(c.out, "%s at position %d of ledger %s, %s\n", capture.Method, capture.Position, capture.Ledger, capture.Time.UTC().Format(time.RFC3339))
	whose := map[string]string{"go": "Go's", "sidecar": "the sidecar's"}[capture.Answered]
	fmt.Fprintf(c.out, "The caller got %s answer.\n", whose)
	if capture.Redacted {
		fmt.Fprintln(c.out, "The service has removed something from the messages.")
	}
	fmt.Fprintf(c.out, "\nrequest\n%s\n", strings.Join(linesOf(&capture.Request), "\n"))
	fmt.Fprintf(c.out, "\n%d differences\n", len(capture.Differences))
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  where\tGo\tsidecar")
	for _, d := range capture.Differences {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", d.Path, shorten(d.Go, columnWidth), shorten(d.Sidecar, columnWidth))
	}
	_ = table.Flush()
	fmt.Fprintln(c.out)
	sideBySide(c.out, replyLines(&capture.Go), replyLines(&capture.Sidecar))
}

func replyLines(r *evidence.Reply) []string {
	if r.Code != "OK" {
		return []string{r.Code, r.Text}
	}
	return linesOf(&r.Message)
}

// linesOf is an indented message.
func linesOf(m *evidence.Message) []string {
	var text bytes.Buffer
	if len(m.JSON) == 0 || json.Indent(&text, m.JSON, "", "  ") != nil {
		return []string{fmt.Sprintf("(%d bytes that are not kept, or cannot be decoded)", m.Length)}
	}
	return strings.Split(text.String(), "\n")
}

// pair is a line of the output. An empty mark means that both sides are equal.
type pair struct{ a, b, mark string }

// sideBySide prints lines that differ, and some around them.
func sideBySide(out io.Writer, a, b []string) {
	if len(a) > mostLines || len(b) > mostLines {
		fmt.Fprintf(out, "The replies have %d and %d lines, which is too long to lay them side by side.\n", len(a), len(b))
		return
	}
	pairs := align(a, b)
	row := func(a, mark, b string) {
		fmt.Fprintln(out, strings.TrimRight(padded(shorten(a, columnWidth))+" "+mark+" "+shorten(b, columnWidth), " "))
	}
	row("Go", " ", "sidecar")
	skipped := false
	for i, p := range pairs {
		if !near(pairs, i) {
			if !skipped {
				row("...", " ", "...")
			}
			skipped = true
			continue
		}
		skipped = false
		row(p.a, p.mark, p.b)
	}
}

// near says whether a line that differs is close.
func near(pairs []pair, i int) bool {
	for _, p := range pairs[max(0, i-contextLines):min(len(pairs), i+contextLines+1)] {
		if p.mark != " " {
			return true
		}
	}
	return false
}

// align pairs equal lines along a longest common subsequence, and what is between them line by line.
func align(a, b []string) (pairs []pair) {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var onlyA, onlyB []string
	between := func() {
		for n := range max(len(onlyA), len(onlyB)) {
			switch {
			case n >= len(onlyB):
				pairs = append(pairs, pair{onlyA[n], "", "<"})
			case n >= len(onlyA):
				pairs = append(pairs, pair{"", onlyB[n], ">"})
			default:
				pairs = append(pairs, pair{onlyA[n], onlyB[n], "|"})
			}
		}
		onlyA, onlyB = nil, nil
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			between()
			pairs = append(pairs, pair{a[i], b[j], " "})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			onlyA = append(onlyA, a[i])
			i++
		default:
			onlyB = append(onlyB, b[j])
			j++
		}
	}
	between()
	return pairs
}

func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

func padded(text string) string {
	return text + strings.Repeat(" ", columnWidth-utf8.RuneCountInString(text))
}

// lift takes a demotion back.
func (c *command) lift(ctx context.Context) error {
	if err := need("--evidence", c.evidence); err != nil {
		return err
	}
	if len(c.args) != 1 {
		return mistake("lift needs a method")
	}
	method := c.args[0]
	switch err := os.Remove(evidence.DemotionPath(c.evidence, method)); {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(c.out, "%s was not demoted\n", method)
	case err != nil:
		return failure{exitFile, fmt.Errorf("--evidence: %w", err)}
	default:
		fmt.Fprintf(c.out, "%s is no longer demoted: its mode counts again\n", method)
	}
	concerned := func(labels string) bool { return strings.Contains(labels, strconv.Quote(method)) }
	return c.await(ctx, shown{"hotpath_shim_demoted", concerned, "0"})
}
