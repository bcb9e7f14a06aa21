package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	barWidth      = 30
	redrawEvery   = 100 * time.Millisecond
	newLinesEvery = 2 * time.Second
)

// progress draws a bar on a terminal. Elsewhere it prints a line every newLinesEvery, so that a log stays readable.
type progress struct {
	out      io.Writer
	terminal bool
	start    time.Time
	shown    time.Time
	drawn    bool
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, start: time.Now()}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// show shows the fraction done of total, and in words that count of unit are done.
func (p *progress) show(name string, done, total, count int64, unit string) {
	every := newLinesEvery
	if p.terminal {
		every = redrawEvery
	}
	if time.Since(p.shown) < every && done < total {
		return
	}
	p.shown = time.Now()
	fraction := 1.0
	if total > 0 {
		fraction = min(float64(done)/float64(total), 1)
	}
	text := fmt.Sprintf("%3.0f%%  %d %s, %.0f/s", 100*fraction, count, unit, float64(count)/time.Since(p.start).Seconds())
	if !p.terminal {
		fmt.Fprintf(p.out, "%s: %s\n", name, text)
		return
	}
	filled := int(fraction * barWidth)
	fmt.Fprintf(p.out, "\r%s [%s%s] %s\x1b[K", name, strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), text)
	p.drawn = true
}

func (p *progress) done() {
	if p.drawn {
		fmt.Fprintln(p.out)
	}
}
