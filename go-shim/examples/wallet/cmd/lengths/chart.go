package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// window is the span of time that is asked about.
type window struct{ name, title string }

var windows = []window{{"years", "nearly all of ten years"}, {"month", "one month of ten years"}}

// panels are the reads, each in a part of the chart.
var panels = []struct{ read, title string }{
	{"statistics", "GetStatistics, five percentiles"}, {"top", "GetTopCounterparties, 100"},
	{"series", "GetTimeSeries, by month"}, {"as-of", "GetBalance at an instant"},
}

const (
	panelWidth, panelHeight = 430.0, 300.0
	// The label of the last tick is in the middle below it.
	left, right  = 58.0, 38.0
	top, bottom  = 34.0, 42.0
	legendHeight = 74.0
)

// style has the colours of loadtest's charts. Shapes tell the lines apart without colour.
const style = `
  svg { --ground: #ffffff; --ink: #1c2430; --soft: #5a6676; --grid: #e6e9ee; --axis: #9aa4b1;
    --s0: #0072b2; --s1: #d55e00; --s2: #00875f; --s3: #b0508f; --s4: #5b6472; }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #12161c; --ink: #e6eaf0; --soft: #a0abba; --grid: #28303b; --axis: #6b7685;
      --s0: #56b4e9; --s1: #ff8f4d; --s2: #2fcb9e; --s3: #e79bc4; --s4: #b4bdc9; }
  }
  text { font: 13px system-ui, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
  .title { font-size: 17px; font-weight: 600; fill: var(--ink); } .panel { font-weight: 600; fill: var(--ink); }
  .ground { fill: var(--ground); } .grid { stroke: var(--grid); } .axis { stroke: var(--axis); }
  .line { fill: none; stroke-width: 2; } .scan { stroke-dasharray: 6 4; }
  .s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); } .s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); }
  .mark { fill: var(--ground); stroke-width: 2; }
`

// axis is a logarithmic axis from 10^low to 10^high.
type axis struct{ low, high float64 }

func axisOf(values []float64) axis {
	low, high := math.Floor(math.Log10(slices.Min(values))), math.Ceil(math.Log10(slices.Max(values)))
	return axis{low, max(high, low+1)}
}

// place returns 0 for the low end of the axis and 1 for the high one.
func (a axis) place(value float64) float64 { return (math.Log10(value) - a.low) / (a.high - a.low) }

// chart draws the latencies of one window against the length of the history, all reads on the same scale.
func chart(of window, rows []row) string {
	rows = slices.DeleteFunc(slices.Clone(rows), func(one row) bool { return one.Window != of.name })
	var lengths, times []float64
	for _, one := range rows {
		lengths, times = append(lengths, float64(one.Entries)), append(times, one.NS)
	}
	var svg strings.Builder
	width, height := 2*panelWidth, legendHeight+2*panelHeight
	title := "Time of a read by the length of the account's history, " + of.title
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="t d">`+"\n",
		width, height)
	fmt.Fprintf(&svg, "<title id=\"t\">%s</title>\n<desc id=\"d\">Both axes are logarithmic. lengths.csv has the numbers.</desc>\n",
		html.EscapeString(title))
	fmt.Fprintf(&svg, "<style>%s</style>\n<rect class=\"ground\" width=\"%.0f\" height=\"%.0f\"/>\n", style, width, height)
	fmt.Fprintf(&svg, "<text class=\"title\" x=\"14\" y=\"26\">%s</text>\n", html.EscapeString(title))
	legend(&svg)
	if len(rows) == 0 {
		return svg.String() + "</svg>\n"
	}
	x, y := axisOf(lengths), axisOf(times)
	for n, panel := range panels {
		p := plot{svg: &svg, x: x, y: y, left: float64(n%2)*panelWidth + left, top: legendHeight + float64(n/2)*panelHeight + top}
		p.frame(panel.title)
		for style, way := range ways() {
			p.line(style, way, slices.DeleteFunc(slices.Clone(rows), func(one row) bool {
				return one.Read != panel.read || one.Way != way
			}))
		}
	}
	return svg.String() + "</svg>\n"
}

func legend(svg *strings.Builder) {
	for style, way := range ways() {
		x := 20 + float64(style)*150
		fmt.Fprintf(svg, "<path class=\"%s\" d=\"M%.0f 50h34\"/>%s<text x=\"%.0f\" y=\"55\">%s</text>\n", class(style, way), x,
			mark(style, x+17, 50, ""), x+42, way)
	}
}

func class(style int, way string) string {
	dashed := ""
	if way != rustIndex && way != goIndex {
		dashed = " scan"
	}
	return fmt.Sprintf("line%s s%d", dashed, style)
}

// plot is one panel.
type plot struct {
	svg       *strings.Builder
	x, y      axis
	left, top float64
}

func (p plot) at(length, ns float64) (x, y float64) {
	width, height := panelWidth-left-right, panelHeight-top-bottom
	return p.left + p.x.place(length)*width, p.top + (1-p.y.place(ns))*height
}

func (p plot) frame(title string) {
	width, height := panelWidth-left-right, panelHeight-top-bottom
	fmt.Fprintf(p.svg, "<text class=\"panel\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", p.left, p.top-12, html.EscapeString(title))
	for power := p.y.low; power <= p.y.high; power++ {
		_, y := p.at(math.Pow(10, p.x.low), math.Pow(10, power))
		fmt.Fprintf(p.svg, "<path class=\"grid\" d=\"M%.1f %.1fh%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			p.left, y, width, p.left-7, y+4, duration(math.Pow(10, power)))
	}
	for power := p.x.low; power <= p.x.high; power++ {
		x, _ := p.at(math.Pow(10, power), math.Pow(10, p.y.low))
		fmt.Fprintf(p.svg, "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
			x, p.top, height, x, p.top+height+18, console.Count(uint64(math.Round(math.Pow(10, power)))))
	}
	fmt.Fprintf(p.svg, "<path class=\"axis\" d=\"M%.1f %.1fh%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">entries</text>\n",
		p.left, p.top+height, width, p.left+width, p.top+height+34)
}

func (p plot) line(style int, way string, rows []row) {
	var path, marks strings.Builder
	for n, one := range rows {
		x, y := p.at(float64(one.Entries), one.NS)
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(n, 1)], x, y)
		marks.WriteString(mark(style, x, y, fmt.Sprintf("%s, %s entries: %s", way, console.Count(uint64(one.Entries)), duration(one.NS))))
	}
	fmt.Fprintf(p.svg, "<path class=\"%s\" d=\"%s\"/>%s\n", class(style, way), path.String(), marks.String())
}

// mark draws a circle, a square, a triangle, a diamond or a bar.
func mark(style int, x, y float64, title string) string {
	shapes := []string{
		"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "m-3.5-3.5h7v7h-7z", "m0-4.5l4.5 8h-9z", "m0-5l5 5l-5 5l-5-5z", "m-4-2h8v4h-8z",
	}
	return fmt.Sprintf("<path class=\"mark s%d\" d=\"M%.1f %.1f%s\"><title>%s</title></path>", style, x, y, shapes[style],
		html.EscapeString(title))
}

// duration formats nanoseconds with three digits.
func duration(ns float64) string {
	for _, unit := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= unit.ns*0.9995 {
			return fmt.Sprintf("%.3g %s", ns/unit.ns, unit.name)
		}
	}
	return fmt.Sprintf("%.3g ns", ns)
}

// table shows the figures of all ways side by side.
func table(rows []row) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-11s %-6s %10s", "read", "window", "entries")
	for _, way := range ways() {
		fmt.Fprintf(&text, " %12s", way)
	}
	var last key
	for _, one := range rows {
		if one.key != last {
			fmt.Fprintf(&text, "\n%-11s %-6s %10s", one.Read, one.Window, console.Count(uint64(one.Entries)))
			last = one.key
		}
		fmt.Fprintf(&text, " %12s", duration(one.NS))
	}
	return text.String() + "\n"
}
